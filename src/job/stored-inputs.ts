/**
 * The inputs of a job as its journal keeps them, written and read as streams.
 *
 *   plan    JSON lines: the plan without its partitions, then one line per object with where it is cut
 *   items   u32 length and bytes of each encoded item, in order
 *
 * A partition keeps the id under which it was committed, also where others were planned anew around it.
 */
import type { Partition, Plan } from '../../partitioner/plan.ts'
import { type CloudObject, cloudObject } from '../core/cloud-object.ts'
import { QuernError } from '../core/errors.ts'
import { callId } from '../core/ids.ts'

/** Bytes that go to the store at once. */
const BLOCK_BYTES = 1 << 18

/** A plan, and under which id each of its calls is committed. */
export interface StoredPlan {
  readonly plan: Plan
  idOf(call: number): string
}

/** The ids of an object's partitions: a text and a number that counts up. */
export interface Ids {
  readonly prefix: string
  readonly first: number
}

interface ObjectLine {
  readonly object: Omit<CloudObject, 'url'>
  readonly cuts: readonly number[]
  readonly uncut?: Partition['uncut']
  /** Absent: the calls' own ids. */
  readonly ids?: Ids
}

/** `idsOf`: of the object whose first partition is this call; undefined: its own. */
export async function* encodePlan(
  { partitions, ...rest }: Plan,
  idsOf: (call: number) => Ids | undefined = () => undefined,
): AsyncGenerator<Uint8Array> {
  yield* blocks(function* () {
    yield Buffer.from(`${JSON.stringify(rest)}\n`)
    for (let call = 0; call < partitions.length; ) {
      const first = partitions[call] as Partition
      yield Buffer.from(`${JSON.stringify(objectLine(partitions, call, first, idsOf(call)))}\n`)
      call += first.count
    }
  })
}

function objectLine(
  partitions: readonly Partition[],
  call: number,
  first: Partition,
  ids: Ids | undefined,
): ObjectLine {
  const { url: _, ...object } = first.object
  const cuts = [first.range.start]
  for (let i = 0; i < first.count; i++) cuts.push((partitions[call + i] as Partition).range.end)
  return { object, cuts, ...(first.uncut === undefined ? {} : { uncut: first.uncut }), ...(ids && { ids }) }
}

/** @throws QuernError when the stream is none of `encodePlan` */
export async function decodePlan(body: AsyncIterable<Uint8Array>): Promise<StoredPlan> {
  const partitions: Partition[] = []
  const firsts: { readonly call: number; readonly ids: Ids }[] = []
  let rest: Omit<Plan, 'partitions'> | undefined
  for await (const line of lines(body)) {
    if (rest === undefined) rest = JSON.parse(line) as Omit<Plan, 'partitions'>
    else {
      const { ids, ...found } = JSON.parse(line) as ObjectLine
      firsts.push({ call: partitions.length, ids: ids ?? { prefix: '', first: partitions.length } })
      for (const partition of partitionsOf(found)) partitions.push(partition)
    }
  }
  if (rest === undefined) throw new QuernError('STORAGE', 'the plan of a journal is empty')
  return { plan: { ...rest, partitions }, idOf: idsFrom(firsts) }
}

function partitionsOf({ object: fields, cuts, uncut }: ObjectLine): Partition[] {
  const object = cloudObject(fields)
  const count = cuts.length - 1
  const extra = uncut === undefined ? {} : { uncut }
  return Array.from({ length: count }, (_, index) => {
    const range = { start: cuts[index] as number, end: cuts[index + 1] as number }
    return { object, range, index, count, ...extra }
  })
}

/** Ids by binary search: objects stand in the order of their calls. */
function idsFrom(firsts: readonly { readonly call: number; readonly ids: Ids }[]): (call: number) => string {
  return (call) => {
    let low = 0
    for (let high = firsts.length; high - low > 1; ) {
      const middle = (low + high) >> 1
      if ((firsts[middle] as { call: number }).call <= call) low = middle
      else high = middle
    }
    const found = firsts[low]
    if (found === undefined) return callId(call)
    return `${found.ids.prefix}${callId(found.ids.first + call - found.call)}`
  }
}

/** Encodes one item after the other, while they are written. */
export async function* encodeItems(count: number, itemOf: (index: number) => Uint8Array): AsyncGenerator<Uint8Array> {
  yield* blocks(function* () {
    for (let i = 0; i < count; i++) {
      const item = itemOf(i)
      const length = Buffer.allocUnsafe(4)
      length.writeUInt32LE(item.byteLength)
      yield length
      yield item
    }
  })
}

/** The items in order, one at a time. @throws QuernError when the stream ends within one */
export async function* decodeItems(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = []
  let heldBytes = 0
  // bytes up to the end of the next item, as far as that is known
  let needed = 4
  for await (const chunk of body) {
    held.push(chunk)
    heldBytes += chunk.byteLength
    if (heldBytes < needed) continue
    const bytes = Buffer.concat(held)
    let at = 0
    for (needed = neededAt(bytes, at); bytes.byteLength - at >= needed; needed = neededAt(bytes, at)) {
      yield Buffer.from(bytes.subarray(at + 4, at + needed))
      at += needed
    }
    held = [bytes.subarray(at)]
    heldBytes = bytes.byteLength - at
  }
  if (heldBytes > 0) throw new QuernError('STORAGE', 'the items of a journal end within one of them')
}

function neededAt(bytes: Buffer, at: number): number {
  return bytes.byteLength - at < 4 ? 4 : 4 + bytes.readUInt32LE(at)
}

/** Small pieces joined to blocks; what yields them runs only as fast as they are taken. */
function* blocks(pieces: () => Generator<Uint8Array>): Generator<Uint8Array> {
  let held: Uint8Array[] = []
  let bytes = 0
  for (const piece of pieces()) {
    if (piece.byteLength === 0) continue
    held.push(piece)
    bytes += piece.byteLength
    if (bytes < BLOCK_BYTES) continue
    yield Buffer.concat(held)
    held = []
    bytes = 0
  }
  if (bytes > 0) yield Buffer.concat(held)
}

async function* lines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let left = ''
  for await (const chunk of body) {
    const parts = (left + decoder.decode(chunk, { stream: true })).split('\n')
    left = parts.pop() as string
    yield* parts
  }
  if (left !== '') yield left
}

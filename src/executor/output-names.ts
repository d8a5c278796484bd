/**
 * Names of outputs: one a call, decided before anything runs. Pure.
 *
 * Invariants: no two calls of a job have one name, no name leads out of the prefix or into quern's own folder, and the
 * name of a divided call's part follows from the plan and the byte at which the part begins, whoever asks and when.
 */
import type { ByteRange } from '../core/bytes.ts'
import type { CloudObject } from '../core/cloud-object.ts'
import { ValidationError } from '../core/errors.ts'
import { callId } from '../core/ids.ts'
import { nearestName } from '../core/nearest.ts'
import { OWN_FOLDER } from '../job/output.ts'

/** What an output is named after. */
export interface OutputPlace {
  /** Place of the call in its job, from 0. */
  readonly call: number
  /** The object a partition belongs to, or a reducer per object reduces. */
  readonly object?: CloudObject | undefined
  /** 0-based place of the partition within its object; of a call over items, in the job. */
  readonly index: number
  /** Partitions of the object; calls of the job where inputs are items. */
  readonly count: number
  readonly range?: ByteRange | undefined
}

/** A template such as `{dir}{stem}-{index}.json`, or a function; default: the object's key, and the partition where there are several. */
export type OutputName = string | ((place: OutputPlace) => string)

export interface NamingRules {
  readonly name?: OutputName | undefined
  /** A reduce of everything has one output, `result`. */
  readonly kind: 'map' | 'reduce'
  readonly compress?: 'gzip' | undefined
  /** The store holds any key; a file system holds none that is a folder of another. */
  readonly anyKey: boolean
}

const MAX_KEY_BYTES = 1_024
const MAX_SEGMENT_BYTES = 255

const FIELDS: Readonly<Record<string, (place: OutputPlace) => string>> = {
  key: ({ object }) => object?.key ?? '',
  bucket: ({ object }) => object?.bucket ?? '',
  dir: ({ object }) => split(object?.key ?? '').dir,
  name: ({ object }) => split(object?.key ?? '').name,
  stem: ({ object }) => split(object?.key ?? '').stem,
  ext: ({ object }) => split(object?.key ?? '').ext,
  index: ({ index }) => callId(index),
  count: ({ count }) => String(count),
  call: ({ call }) => callId(call),
}
const OBJECT_FIELDS = new Set(['key', 'bucket', 'dir', 'name', 'stem', 'ext'])

/**
 * The names of all calls, in their order, relative to the prefix.
 * @throws ValidationError for a name that is no key under the prefix, and for two calls of one name, naming both
 */
export function outputNames(places: readonly OutputPlace[], rules: NamingRules): string[] {
  const nameOf = namer(rules)
  const names = places.map((place) => {
    const name = nameOf(place)
    const plain = typeof name === 'string' && rules.compress === 'gzip' && !name.endsWith('.gz') ? `${name}.gz` : name
    assertName(plain, place, rules)
    return plain
  })
  assertApart(names, places, rules)
  return names
}

/**
 * The name of the part of a divided call that begins at byte `start`: that of the planned call with the byte before its
 * extension, so that readers by extension still know it. `taken` says whether a planned call has that name.
 */
export function partName(name: string, start: number, taken: (name: string) => boolean): string {
  const gz = name.endsWith('.gz') ? '.gz' : ''
  const { dir, stem, ext } = split(gz === '' ? name : name.slice(0, -gz.length))
  for (let mark = `.from-${start}`; ; mark += '_') {
    const part = `${dir}${stem}${mark}${ext}${gz}`
    if (!taken(part)) return part
  }
}

/** @throws ValidationError for a template with a field that is not known */
export function assertTemplate(template: string, where: string): void {
  for (const [, field = ''] of template.matchAll(/\{([^{}]*)\}/g)) {
    if (Object.hasOwn(FIELDS, field)) continue
    const nearest = nearestName(field, Object.keys(FIELDS))
    const known = Object.keys(FIELDS).map((each) => `{${each}}`)
    const hint = nearest === undefined ? `expected ${known.join(', ')}` : `did you mean {${nearest}}?`
    throw new ValidationError(`${where}: unknown field {${field}}, ${hint}`)
  }
}

function namer({ name, kind }: NamingRules): (place: OutputPlace) => string {
  if (typeof name === 'function') return name
  if (name !== undefined) return (place) => filled(name, place)
  return ({ call, object, index, count }) => {
    if (object === undefined) return kind === 'reduce' ? 'result' : `part-${callId(call)}`
    return kind === 'reduce' || count === 1 ? object.key : `${object.key}/part-${callId(index)}`
  }
}

function filled(template: string, place: OutputPlace): string {
  return template.replace(/\{([^{}]*)\}/g, (_, field: string) => {
    if (place.object === undefined && OBJECT_FIELDS.has(field)) {
      throw new ValidationError(`output.name: {${field}} needs an object, and call ${callId(place.call)} has none`)
    }
    return (FIELDS[field] as (place: OutputPlace) => string)(place)
  })
}

/** `logs/a.txt` → `logs/`, `a.txt`, `a`, `.txt`. A leading dot begins no extension. */
function split(key: string): { dir: string; name: string; stem: string; ext: string } {
  const slash = key.lastIndexOf('/') + 1
  const name = key.slice(slash)
  const dot = name.lastIndexOf('.')
  const at = dot > 0 ? dot : name.length
  return { dir: key.slice(0, slash), name, stem: name.slice(0, at), ext: name.slice(at) }
}

function assertName(name: unknown, place: OutputPlace, { anyKey }: NamingRules): asserts name is string {
  const refuse = (why: string) =>
    new ValidationError(`output name of ${describe(place)}: ${why}, got ${JSON.stringify(name)}; give output.name`)
  if (typeof name !== 'string') throw refuse('expected text')
  if (name === '') throw refuse('expected text that is not empty')
  if (Buffer.byteLength(name) > MAX_KEY_BYTES) throw refuse(`expected at most ${MAX_KEY_BYTES} bytes`)
  const segments = name.split('/')
  if (segments[0] === '') throw refuse('expected a name relative to output.to')
  if (segments.includes('..') || segments.includes('.')) throw refuse('expected no "." and ".."')
  if (`${segments[0]}/` === OWN_FOLDER) throw refuse(`${OWN_FOLDER} is kept for the manifest`)
  if (anyKey) return
  const isFileName = (segment: string) =>
    segment !== '' && !segment.includes('\0') && Buffer.byteLength(segment) <= MAX_SEGMENT_BYTES
  if (!segments.every(isFileName)) throw refuse('expected a path that a file system can hold')
}

/** @throws ValidationError for two calls of one name, and for a name that a file system would hold as file and folder */
export function assertApart(names: readonly string[], places: readonly OutputPlace[], { anyKey }: NamingRules): void {
  const callOf = new Map<string, number>()
  for (const [call, name] of names.entries()) {
    const other = callOf.get(name)
    if (other !== undefined) throw new ValidationError(collision(name, places[other], places[call]))
    callOf.set(name, call)
  }
  if (anyKey) return
  for (const [call, name] of names.entries()) {
    for (let slash = name.indexOf('/'); slash !== -1; slash = name.indexOf('/', slash + 1)) {
      const file = callOf.get(name.slice(0, slash))
      if (file === undefined) continue
      const both = `${describe(places[file])} and ${describe(places[call])}`
      throw new ValidationError(
        `output names of ${both}: '${names[file]}' would be a file and a folder of '${name}'; give output.name`,
      )
    }
  }
}

function collision(name: string, one: OutputPlace | undefined, other: OutputPlace | undefined): string {
  const hint = one?.object === undefined ? '{call}' : '{bucket}/{key}/{index}'
  return `output name '${name}': ${describe(one)} and ${describe(other)} would both write it; give an output.name that tells them apart, such as '${hint}'`
}

function describe(place: OutputPlace | undefined): string {
  if (place === undefined) return 'a call'
  const { call, object, index, count } = place
  const part = count > 1 && object !== undefined ? ` partition ${index}` : ''
  return object === undefined ? `call ${callId(call)}` : `call ${callId(call)} (${object.url}${part})`
}

/**
 * Attempts at one call of a journal that are shortened, cut off and late in every order: one end counts, of the bytes
 * that the divisions have left to the call.
 */
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { cloudObject } from '../../src/core/cloud-object.ts'
import { type CallEnd, type CommitPlace, commitDivision, commitSetAside, readCommit } from '../../src/job/commits.ts'
import { shortenedId } from '../../src/job/keys.ts'
import type { CallSpec, Report } from '../../src/job/messages.ts'
import { layered } from '../../src/storage/layer.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { CommittedCall } from '../../src/worker/committed-call.ts'
import { seeded } from '../support/seeded.ts'

const SIZE = 1_000
const object = cloudObject({ backend: 'memory', bucket: 'b', key: 'k', size: SIZE, etag: '"1"' })
const stats = { runMs: 1 } as never

let memory: MemoryBackend
let place: CommitPlace
beforeEach(async () => {
  memory = new MemoryBackend()
  await memory.createBucket('j')
  place = { backend: memory, bucket: 'j', name: 'abc-0-M000', series: 'M000' }
})

function specOf(end = SIZE, attempt = 1): CallSpec {
  const partition = { object, range: { start: 0, end }, index: 0, count: 1 }
  const commit = end === SIZE ? undefined : shortenedId('00000', end)
  return { call: 0, attempt, input: { type: 'partition', partition }, commit }
}

/** As a partition while it is read: it ends earlier when told to, until its end is fixed. */
class Reader {
  readonly range: { end: number }
  #fixed = false

  constructor(spec: CallSpec) {
    if (spec.input.type !== 'partition') throw new Error('no partition')
    this.range = { end: spec.input.partition.range.end }
  }

  endAt(at: number): number {
    if (!this.#fixed) this.range.end = Math.min(this.range.end, at)
    return this.range.end
  }

  fix(): number {
    this.#fixed = true
    return this.range.end
  }
}

const endOf = (reader: Reader, attempt = 1): CallEnd => ({ attempt, stats, result: Buffer.from(String(reader.fix())) })
const textOf = ({ result }: CallEnd) => Buffer.from(result).toString()

function attemptAt(spec: CallSpec, at: CommitPlace = place) {
  const told: Report[] = []
  return { told, committed: new CommittedCall(at, spec, (report) => told.push(report)) }
}

describe('an attempt at a call with a journal', () => {
  it('that is divided while it runs is committed as what it has kept', async () => {
    const { told, committed } = attemptAt(specOf())
    const ended = await committed.finish({
      async run(spec) {
        const reader = new Reader(spec)
        committed.endAt(reader, 600)
        committed.endAt(reader, 700)
        committed.endAt(reader, 400)
        return endOf(reader)
      },
    })
    expect(ended).toMatchObject({ won: true, id: '00000.to-400' })
    expect(textOf(ended.end)).toBe('400')
    // told once each division is committed; 700 gave nothing away
    expect(told).toEqual([600, 600, 400].map((end) => ({ type: 'divided', call: 0, end })))
    expect(await readCommit(place, '00000')).toEqual({ type: 'divided', at: 600 })
    expect(await readCommit(place, '00000.to-600')).toEqual({ type: 'divided', at: 400 })
  })

  it('that comes late finds the call divided, and ends what is left of it, unless that has ended too', async () => {
    await commitDivision(place, '00000', 500)
    const attempts = [
      // a first one does not ask beforehand
      { attempt: 1, runs: [SIZE, 500] },
      { attempt: 1, runs: [SIZE] },
      { attempt: 2, runs: [] },
    ]
    for (const { attempt, runs } of attempts) {
      const ran: number[] = []
      const { told, committed } = attemptAt(specOf(SIZE, attempt))
      const { end, id } = await committed.finish({
        async run(spec) {
          const reader = new Reader(spec)
          ran.push(reader.range.end)
          return endOf(reader)
        },
      })
      expect([id, textOf(end)]).toEqual(['00000.to-500', '500'])
      expect(told).toEqual([{ type: 'divided', call: 0, end: 500 }])
      expect(ran).toEqual(runs)
    }
  })

  it('that fails says first what it had given away', async () => {
    const slow = layered(memory, {
      async put(...given) {
        for (let i = 0; i < 100; i++) await Promise.resolve()
        return memory.put(...given)
      },
    })
    const { told, committed } = attemptAt(specOf(), { ...place, backend: slow })
    const run = async (spec: CallSpec) => {
      committed.endAt(new Reader(spec), 400)
      throw new RangeError('not that')
    }
    const toldBefore = await committed.finish({ run }).catch((error: Error) => [error.message, ...told])
    expect(toldBefore).toEqual(['not that', { type: 'divided', call: 0, end: 400 }])
  })

  it('whose division comes after another attempt has ended the call reports that end', async () => {
    const other = attemptAt(specOf(SIZE, 2))
    const { told, committed } = attemptAt(specOf())
    let discarded = 0
    const ended = await committed.finish({
      async run(spec) {
        const reader = new Reader(spec)
        await other.committed.finish({ run: async (whole) => endOf(new Reader(whole), 2) })
        committed.endAt(reader, 400)
        return endOf(reader)
      },
      discard: async () => {
        discarded += 1
      },
    })
    expect(ended).toMatchObject({ won: false, id: '00000', end: { attempt: 2 } })
    expect(textOf(ended.end)).toBe(String(SIZE))
    // it gave nothing away
    expect(told).toEqual([{ type: 'divided', call: 0, end: SIZE }])
    expect(discarded).toBe(1)
  })

  it('fails where its division could not be committed, or its record was set aside', async () => {
    let puts = 0
    const broken = layered(memory, {
      put: (...given) => (++puts === 1 ? Promise.reject(new Error('full')) : memory.put(...given)),
    })
    const { committed, told } = attemptAt(specOf(), { ...place, backend: broken })
    const run = async (spec: CallSpec) => {
      const reader = new Reader(spec)
      committed.endAt(reader, 400)
      return endOf(reader)
    }
    await expect(committed.finish({ run })).rejects.toThrow('full')
    expect(told).toEqual([])
    // what it has kept is not the whole call, and nothing says so
    expect(await readCommit(place, '00000')).toBeUndefined()
    await commitSetAside(place, '00000', { range: { start: 0, end: 4 }, bytes: Buffer.of(1), error: Buffer.of(2) })
    const late = attemptAt(specOf()).committed.finish({ run: async (spec) => endOf(new Reader(spec)) })
    await expect(late).rejects.toThrow(/was set aside/)
  })

  it('a call on an item is not divided', async () => {
    await commitDivision(place, '00000', 500)
    const spec: CallSpec = { call: 0, attempt: 2, input: { type: 'item', value: Buffer.of(1) } }
    const never = async () => Promise.reject(new Error('it must not run'))
    await expect(attemptAt(spec).committed.finish({ run: never })).rejects.toThrow(/item input cannot be divided/)
  })
})

describe('any number of attempts, drivers and divisions', () => {
  it('one end counts, for all; what it is of and what was given away tile the partition', async () => {
    await fc.assert(fc.asyncProperty(fc.nat(), simulate), { numRuns: 300 })
  })
})

async function simulate(seed: number): Promise<void> {
  const random = seeded(seed)
  const upTo = (n: number) => Math.floor(random() * n)
  const pause = async () => {
    for (let i = upTo(12); i > 0; i--) await Promise.resolve()
  }
  const store = new MemoryBackend()
  await store.createBucket('j')
  const slow = layered(store, {
    async put(...given) {
      await pause()
      const head = await store.put(...given)
      await pause()
      return head
    },
    async get(...given) {
      await pause()
      return store.get(...given)
    },
  })
  const at = { ...place, backend: slow }
  /** What the driver knows by what it was told and did. */
  let known = SIZE
  const told = new Set<number>()
  const tell = (report: Report) => {
    if (report.type !== 'divided') return
    told.add(report.end)
    known = Math.min(known, report.end)
  }
  const attempt = async (number: number): Promise<string> => {
    for (let i = upTo(6); i > 0; i--) await pause()
    // some woke up after all that happened since
    const spec = specOf(random() < 0.5 ? known : SIZE, number)
    const committed = new CommittedCall(at, spec, tell)
    const run = async (now: CallSpec) => {
      const reader = new Reader(now)
      for (let i = upTo(4); i > 0; i--) {
        await pause()
        if (random() < 0.4) committed.endAt(reader, 1 + upTo(SIZE - 1))
      }
      return endOf(reader, number)
    }
    return textOf((await committed.finish({ run })).end)
  }
  const divide = async () => {
    for (let i = upTo(8); i > 0; i--) await pause()
    if (known < 2) return
    const id = known === SIZE ? '00000' : shortenedId('00000', known)
    const commit = await commitDivision(at, id, 1 + upTo(known - 1))
    if (commit.type === 'divided') tell({ type: 'divided', call: 0, end: commit.at })
  }
  const attempts = [1, 2, 3].map(attempt)
  await Promise.all([...attempts, divide(), divide()])
  const cuts: number[] = []
  let commit = await readCommit(at, '00000')
  for (; commit?.type === 'divided'; commit = await readCommit(at, shortenedId('00000', cuts.at(-1) as number))) {
    expect(commit.at).toBeLessThan(cuts.at(-1) ?? SIZE)
    cuts.push(commit.at)
  }
  const kept = String(cuts.at(-1) ?? SIZE)
  expect(commit?.type === 'end' && textOf(commit.end)).toBe(kept)
  expect(await Promise.all(attempts)).toEqual([kept, kept, kept])
  // whoever divided told so: the driver knows all parts that others are to read
  expect([...told].filter((end) => end < SIZE).sort((a, b) => b - a)).toEqual(cuts)
}

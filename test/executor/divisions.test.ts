import { describe, expect, it } from 'vitest'
import type { Division } from '../../partitioner/divided-plan.ts'
import { NotFoundError, StorageError, ValidationError } from '../../src/core/errors.ts'
import { callId } from '../../src/core/ids.ts'
import type { DivisionJournal } from '../../src/executor/division-journal.ts'
import { type DivisionSettings, divisionsOf, type JobDivisions } from '../../src/executor/divisions.ts'
import type { CallOutcome, FailureReason } from '../../src/executor/scheduler-protocol.ts'
import { encodeError } from '../../src/functions/error-codec.ts'
import type { Commit } from '../../src/job/commits.ts'
import type { AttemptEvent } from '../../src/monitor/monitor.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { bytesBackend } from '../support/bytes-backend.ts'
import { planOf } from '../support/read-partitions.ts'

const TEXT = Array.from({ length: 100 }, (_, i) => `line ${i}\n`).join('')
const thrown = (error: Error): FailureReason => ({ by: 'function', error: encodeError(error) })
const failed = (error = new Error('bad')): CallOutcome => ({ type: 'failed', why: thrown(error) })

/** In which nobody else has committed anything. */
const JOURNAL: DivisionJournal = {
  idOf: callId,
  record: async () => undefined,
  divide: async (_, at) => ({ type: 'divided', at }),
  setAside: async () => undefined,
  outcomeOf: async (_, { result, stats }) => ({ type: 'succeeded', result, stats }),
}

interface Told {
  readonly divided: { call: number; keeps: number | undefined }[]
  readonly resolved: { call: number; outcome: CallOutcome }[]
}

function dividing(
  settings: DivisionSettings,
  options: { objNewline?: string | null; journal?: Partial<DivisionJournal> } = {},
) {
  const { object, replace, ...inner } = bytesBackend(TEXT)
  const plan = planOf(object, { objChunkNumber: 2, objNewline: options.objNewline })
  const divisions = divisionsOf({
    run: { id: 'M000' },
    settings,
    inputs: { plan },
    feeds: true,
    resolve: async () => inner as unknown as StorageBackend,
    journal: options.journal && { ...JOURNAL, ...options.journal },
  }) as JobDivisions
  const told: Told = { divided: [], resolved: [] }
  let settle: () => void = () => undefined
  divisions.connect({
    divide: (call, keeps) => {
      told.divided.push({ call, keeps })
      divisions.appended(call, divisions.plan.calls)
      settle()
    },
    resolve: (call, outcome) => {
      told.resolved.push({ call, outcome })
      settle()
    },
  })
  /** The call fails for good; settles when that has been answered. */
  const fail = (call: number, outcome = failed()) =>
    new Promise<void>((resolve) => {
      settle = resolve
      divisions.failed(call, outcome)
    })
  return { divisions, told, fail, object, replace }
}

describe('JobDivisions: whose failure it is', () => {
  const context = (key: string) => ({ backend: 'memory', operation: 'get', bucket: 'b', key })
  it.each<[string, FailureReason, boolean]>([
    ['the function threw', thrown(new RangeError('bad record')), true],
    ['it ran too long', { by: 'timeout', timeoutMs: 1 }, true],
    ['it gave no sign of life', { by: 'silence', timeoutMs: 1 }, true],
    ['its worker exited', { by: 'death', death: { reason: 'exited' } }, true],
    ['its worker had too little memory', { by: 'death', death: { reason: 'outOfMemory' } }, true],
    ['its worker was frozen', { by: 'death', death: { reason: 'frozen' } }, true],
    ['its worker never started', { by: 'death', death: { reason: 'neverStarted' } }, false],
    ['the executor was closed', { by: 'death', death: { reason: 'closed' } }, false],
    ['it waited too long', { by: 'queue', timeoutMs: 1 }, false],
    ['it could not be sent', { by: 'error', error: new Error('no') }, false],
    ['the object cannot be read', thrown(new StorageError('UNAVAILABLE', 'away', context('text'))), false],
    ['another object, named by a record, is not there', thrown(new NotFoundError('no', context('other'))), true],
  ])('%s', (_, why, divides) => {
    expect(dividing({ onFailure: 'bisect' }).divisions.divides(0, why)).toBe(divides)
  })

  it('nobody asked for it: nothing is divided', () => {
    expect(dividing({ splittable: true }).divisions.divides(0, thrown(new Error('bad')))).toBe(false)
  })
})

describe('JobDivisions: what becomes of a failed call', () => {
  it('is cut in two, down to its record, which is set aside with its bytes', async () => {
    const { divisions, told, fail, object } = dividing({ onFailure: 'bisect' })
    let tries = 0
    while (told.resolved.length === 0 && tries++ < 20) await fail(0)
    expect(tries).toBeLessThan(10)
    expect(told.resolved).toMatchObject([{ call: 0, outcome: { type: 'failed', quarantined: true } }])
    const [record] = divisions.quarantinedRecords()
    expect(record).toMatchObject({ object, range: { start: 0, end: 7 }, callId: '00000', error: { code: 'CALL' } })
    expect(Buffer.from(record?.bytes ?? []).toString()).toBe('line 0\n')
    expect(divisions.inputOf(0)).toMatchObject({ partition: { range: { start: 0, end: 7 } } })
  })

  it('fails with both errors when the object cannot be looked at', async () => {
    const { told, fail, replace } = dividing({ onFailure: 'bisect' })
    replace(Buffer.from('something else'))
    await fail(0)
    const outcome = told.resolved[0]?.outcome
    expect(outcome).toMatchObject({ type: 'failed', why: { by: 'error' } })
    const why = outcome?.type === 'failed' && outcome.why.by === 'error' ? outcome.why.error.message : ''
    expect(why).toMatch(/call 00000 of M000 failed: Error: bad; its records could not be looked at.*etag is v1'/)
  })

  it('fails, and says why, when more records fail than may be set aside', async () => {
    const { told, fail } = dividing({ onFailure: 'bisect', maxQuarantined: 1 })
    await fail(0)
    await fail(1)
    expect(told.divided).toHaveLength(1)
    const outcome = told.resolved[0]?.outcome
    expect(outcome).not.toHaveProperty('quarantined')
    expect(outcome).toMatchObject({ why: { error: { message: expect.stringContaining('more than 1 records fail') } } })
  })

  it('a success of both halves takes the suspicion back', async () => {
    const { divisions, told, fail } = dividing({ onFailure: 'bisect', maxQuarantined: 1 })
    const stats = {} as Extract<AttemptEvent, { type: 'succeeded' }>['stats']
    await fail(0)
    for (const call of [0, 2]) {
      divisions.watch({ type: 'succeeded', job: 'M000', call, invocation: 1, result: new Uint8Array(), stats }, 0, 0)
    }
    await fail(1)
    expect(told.divided).toHaveLength(2)
  })
})

describe('JobDivisions: the journal', () => {
  it('both halves wait until the division is recorded, others do not', async () => {
    const recorded: Division[] = []
    let written: () => void = () => undefined
    const record = (division: Division) => {
      recorded.push(division)
      return new Promise<void>((resolve) => {
        written = resolve
      })
    }
    const { divisions, fail } = dividing({ onFailure: 'bisect' }, { journal: { record } })
    expect(divisions.ready([{ call: 0 }])).toBeUndefined()
    await fail(0)
    expect(recorded).toEqual([{ parent: 0, at: expect.any(Number), child: 2 }])
    expect(divisions.ready([{ call: 1 }])).toBeUndefined()
    let sent = 0
    const waiting = [divisions.ready([{ call: 0 }]), divisions.ready([{ call: 2 }])].map((ready) =>
      ready?.then(() => (sent += 1)),
    )
    await Promise.resolve()
    expect(sent).toBe(0)
    written()
    await Promise.all(waiting)
    expect(sent).toBe(2)
  })

  it('a division that cannot be recorded keeps both halves from being sent', async () => {
    const { divisions, fail } = dividing(
      { onFailure: 'bisect' },
      { journal: { record: async () => Promise.reject(new Error('full')) } },
    )
    await fail(0)
    await expect(divisions.ready([{ call: 0 }])).rejects.toThrow('full')
    await expect(divisions.ready([{ call: 2 }])).rejects.toThrow('full')
  })
})

describe('JobDivisions: what somebody else has committed counts', () => {
  const stats = { runMs: 1 } as never

  it('an end: the call has succeeded after all', async () => {
    const end = { attempt: 1, result: Buffer.from('late'), stats }
    const asked: string[] = []
    const divide = async (id: string): Promise<Commit> => {
      asked.push(id)
      return { type: 'end', end }
    }
    const { divisions, told, fail } = dividing({ onFailure: 'bisect' }, { journal: { divide } })
    await fail(1)
    expect(asked).toEqual(['00001'])
    expect(told).toEqual({
      divided: [],
      resolved: [{ call: 1, outcome: { type: 'succeeded', result: Buffer.from('late'), stats } }],
    })
    expect(divisions.plan.calls).toBe(2)
  })

  it('a division: the call is cut there', async () => {
    const { divisions, told, fail } = dividing(
      { onFailure: 'bisect' },
      { journal: { divide: async () => ({ type: 'divided', at: 77 }) } },
    )
    await fail(0)
    expect(told.divided).toEqual([{ call: 0, keeps: undefined }])
    expect(divisions.plan.inputOf(2).partition.range.start).toBe(77)
    expect(divisions.commitIdOf(0, '00000')).toBe('00000.to-77')
    expect(divisions.commitIdOf(2, '00002')).toBe('00002')
    divisions.replay({ parent: 0, at: 33, child: 3 })
    expect(divisions.commitIdOf(0, '00000')).toBe('00000.to-33')
  })

  it('a record: set aside as it was found, and also where another attempt has ended the call', async () => {
    const found = {
      range: { start: 0, end: 7 },
      bytes: Buffer.from('line 0\n'),
      error: encodeError(new Error('first')),
    }
    const commits: Commit[] = [
      { type: 'set aside', record: found },
      { type: 'end', end: { attempt: 1, result: Buffer.from('late'), stats } },
    ]
    for (const [i, commit] of commits.entries()) {
      const journal = { setAside: async () => commit }
      const { divisions, told, fail } = dividing({ onFailure: 'bisect' }, { journal })
      while (told.resolved.length === 0) await fail(0)
      const outcome = told.resolved[0]?.outcome
      if (i === 0) {
        expect(outcome).toMatchObject({ type: 'failed', quarantined: true })
        expect(divisions.quarantinedRecords()).toMatchObject([{ error: { message: 'first' }, callId: '00000' }])
      } else {
        expect(outcome).toMatchObject({ type: 'succeeded' })
        expect(divisions.quarantinedRecords()).toEqual([])
      }
    }
  })

  it('an attempt that finds its call divided by an earlier driver says so, where nobody was asked to give anything', () => {
    const { divisions, told } = dividing({ onFailure: 'bisect' })
    divisions.watch({ job: 'M000', call: 0, invocation: 7, type: 'divided', end: 300 }, 1, 0)
    expect(told.divided).toEqual([{ call: 0, keeps: 7 }])
    expect(divisions.plan.inputOf(2).partition.range.start).toBe(300)
  })
})

describe('JobDivisions: calls that run', () => {
  const at = { job: 'M000', call: 0, invocation: 7 } as const

  it('the answer says where the call ends; the rest is a call of its own', () => {
    const { divisions, told } = dividing({ splittable: true })
    divisions.watch({ ...at, type: 'started' }, 1, 0)
    expect(divisions.watch({ ...at, type: 'progress', bytesRead: 10 }, 1, 5_000)).toMatchObject([{ invocation: 7 }])
    divisions.watch({ ...at, type: 'divided', end: 300 }, 1, 5_000)
    expect(told.divided).toEqual([{ call: 0, keeps: 7 }])
    expect(divisions.plan.inputOf(0).partition.range.end).toBe(300)
    expect(divisions.plan.inputOf(2).partition.range.start).toBe(300)
    // a split is no failure of anybody
    expect(divisions.watch({ ...at, type: 'progress', bytesRead: 20 }, 1, 9_000)).toMatchObject([{ call: 0 }])
  })

  it('an answer that gives nothing away divides nothing', () => {
    const { divisions, told } = dividing({ splittable: true })
    const { end } = divisions.plan.inputOf(0).partition.range
    divisions.watch({ ...at, type: 'divided', end }, 1, 0)
    expect(told.divided).toEqual([])
  })
})

describe('divisionsOf', () => {
  it('needs records to look for, and workers that can be told something', () => {
    expect(() => dividing({ onFailure: 'bisect' }, { objNewline: null })).toThrow(ValidationError)
    expect(dividing({ splittable: true }, { objNewline: null }).divisions).toBeDefined()
    const { object } = bytesBackend(TEXT)
    const job = {
      run: { id: 'M000' },
      inputs: { plan: planOf(object, {}) },
      feeds: false,
      resolve: async () => ({}) as never,
    }
    expect(() => divisionsOf({ ...job, settings: { splittable: true } })).toThrow(/cannot be told/)
    expect(divisionsOf({ ...job, settings: {} })).toBeUndefined()
    expect(divisionsOf({ ...job, inputs: {}, settings: { onFailure: 'bisect' } })).toBeUndefined()
  })

  it('makes earlier divisions again', () => {
    const { object } = bytesBackend(TEXT)
    const past = [
      { parent: 0, at: 100, child: 1 },
      { parent: 0, at: 50, child: 2 },
    ]
    const job = {
      run: { id: 'M000' },
      inputs: { plan: planOf(object, {}) },
      feeds: true,
      resolve: async () => ({}) as never,
    }
    const divisions = divisionsOf({ ...job, settings: { onFailure: 'bisect' }, past })
    expect(divisions?.plan.order()).toEqual([0, 2, 1])
    expect(() => divisionsOf({ ...job, settings: { onFailure: 'bisect' }, past: past.slice(1) })).toThrow(/call 2/)
  })
})

import { describe, expect, it } from 'vitest'
import { allowedFailures, type CallRetries, nextMemoryMiB, retryAfterMs } from '../../src/executor/failure-policy.ts'
import type { FailureReason } from '../../src/executor/scheduler-protocol.ts'

const policy: CallRetries = { attempts: 4, baseMs: 100, maxMs: 300 }
const thrown: FailureReason = { by: 'function', error: new Uint8Array(0) }
const dead = (reason: 'exited' | 'outOfMemory' | 'closed', memoryLimitMiB?: number): FailureReason => {
  return { by: 'death', death: { reason, memoryLimitMiB } }
}
const failed = (failures: number, why: FailureReason = thrown) => ({
  why,
  call: 7,
  attempt: failures,
  failures,
  retriesSpent: 0,
})

describe('after a failure', () => {
  it.each([1, 2, 3].map((failures, i) => [failures, [100, 200, 300][i] as number] as const))(
    'number %i, the pause is drawn from 0 to %i ms',
    (failures, most) => {
      expect(retryAfterMs(policy, failed(failures), 0)).toBe(0)
      expect(retryAfterMs(policy, failed(failures), 0.5)).toBe(most / 2)
    },
  )

  it.each<[string, CallRetries | undefined, FailureReason]>([
    ['without a policy', undefined, thrown],
    ['of an executor that closes', policy, dead('closed')],
    ['of an input', policy, { by: 'input', mapJob: 'M000', call: 1 }],
    ['of what cannot be sent', policy, { by: 'error', error: new Error('no') }],
    ['of a call queued too long', policy, { by: 'queue', timeoutMs: 1 }],
    ['that retryIf gives up', { ...policy, retryIf: () => false }, thrown],
    ['beyond the budget', { ...policy, budget: 0 }, thrown],
  ])('%s, there is no other try', (_, given, why) => {
    expect(retryAfterMs(given, failed(1, why), 0.5)).toBeUndefined()
  })

  it('with its last try, there is no other', () => {
    expect(retryAfterMs(policy, failed(4), 0.5)).toBeUndefined()
  })

  it.each<FailureReason>([thrown, dead('exited'), { by: 'timeout', timeoutMs: 1 }, { by: 'silence', timeoutMs: 1 }])(
    'by $by, there is another try',
    (why) => {
      expect(retryAfterMs(policy, failed(1, why), 0.5)).toBe(50)
    },
  )

  it('retryIf is asked about the call and its try, and only where there would be another', () => {
    const asked: unknown[] = []
    const asking: CallRetries = { ...policy, retryIf: (...args) => asked.push(args) > 0 }
    retryAfterMs(asking, failed(2), 0)
    retryAfterMs(asking, failed(4), 0)
    expect(asked).toEqual([[thrown, 7, 2]])
  })
})

describe('the memory of the next try', () => {
  it.each<[string, Partial<CallRetries>, FailureReason, number | undefined, number | undefined]>([
    ['doubles', {}, dead('outOfMemory'), 100, 200],
    ['starts from the limit of the worker where the job names none', {}, dead('outOfMemory', 64), undefined, 128],
    ['grows by the factor, to whole MiB', { memoryFactor: 1.01 }, dead('outOfMemory'), 100, 101],
    ['ends at the most', { maxMemoryMiB: 150 }, dead('outOfMemory'), 100, 150],
    ['never shrinks', { maxMemoryMiB: 50 }, dead('outOfMemory'), 100, undefined],
    ['stays where the limit is not known', {}, dead('outOfMemory'), undefined, undefined],
    ['stays after another death', {}, dead('exited', 64), 100, undefined],
    ['stays after an error', {}, thrown, 100, undefined],
  ])('%s', (_, given, why, currentMiB, expected) => {
    expect(nextMemoryMiB(given, why, currentMiB)).toBe(expected)
  })
})

describe('failures allowed', () => {
  it.each([
    [{ count: 3 }, 2, 3],
    [{ percent: 5 }, 100, 5],
    [{ percent: 5 }, 39, 1],
    [{ percent: 0 }, 1_000, 0],
    [{ percent: 100 }, 7, 7],
    [{ percent: 0.07 }, 10_000, 7],
  ])('%j of %i calls: %i', (tolerance, calls, allowed) => {
    expect(allowedFailures(tolerance, calls)).toBe(allowed)
  })
})

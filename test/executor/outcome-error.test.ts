/** What is said of a worker that died of memory, was stopped, or told nothing. */
import { describe, expect, it } from 'vitest'
import type { InvocationDeath } from '../../src/compute/backend.ts'
import { errorOf } from '../../src/executor/outcome-error.ts'

const MIB = 2 ** 20
const noInput = () => new Error('no input is asked for')
const errorOfDeath = (death: InvocationDeath) => errorOf('M000', 3, { by: 'death', death }, noInput)

describe('the error of a call whose worker', () => {
  it.each([
    [
      'outgrew its limit, as measured',
      { reason: 'outOfMemory', memoryLimitMiB: 64, heldBytes: 130 * MIB, signal: 'SIGKILL' },
      'call 00003 of M000: its worker ran out of memory (its limit of 64 MiB, it held 130 MiB when it was last measured); raise runtimeMemory or read in smaller partitions',
      { limitMiB: 64, heldMiB: 130, signal: 'SIGKILL' },
    ],
    [
      'reached the limit of its heap',
      { reason: 'outOfMemory', memoryLimitMiB: 64, signal: 'SIGABRT' },
      'call 00003 of M000: its worker ran out of memory (its limit of 64 MiB); raise runtimeMemory or read in smaller partitions',
      { limitMiB: 64, heldMiB: undefined, signal: 'SIGABRT' },
    ],
    [
      'was killed while memory was short',
      { reason: 'outOfMemory', probably: true, signal: 'SIGKILL' },
      'call 00003 of M000: its worker was killed from outside, probably because memory ran out (it had no limit of its own); raise runtimeMemory or read in smaller partitions',
      { limitMiB: undefined, signal: 'SIGKILL' },
    ],
  ] as const)('%s', (_what, death, message, fields) => {
    const error = errorOfDeath(death)
    expect(error.message).toBe(message)
    expect(error).toMatchObject({ code: 'OUT_OF_MEMORY', ...fields })
  })

  it('was stopped and did not go on', () => {
    expect(errorOfDeath({ reason: 'frozen', signal: 'SIGKILL' })).toMatchObject({
      code: 'TERMINATED_WORKER',
      message: 'call 00003 of M000: its worker was stopped from outside (SIGSTOP), did not go on, and was ended',
    })
  })
})

describe('the error of a call that gave no sign of life', () => {
  it.each([
    [
      'computed',
      { state: 'R', cpuMs: 4_900, overMs: 5_000 },
      'used 4.9 s of processor in the last 5.0 s: it computes (state R)',
    ],
    [
      'computed on a busy machine',
      { state: 'R', cpuMs: 60, overMs: 1_000 },
      'used 60 ms of processor in the last 1.0 s: it computes (state R)',
    ],
    [
      'computed, but for this moment',
      { state: 'S', cpuMs: 510, overMs: 1_000 },
      'used 510 ms of processor in the last 1.0 s: it computes (state S)',
    ],
    [
      'waited',
      { state: 'S', cpuMs: 500, overMs: 1_000 },
      'used 500 ms of processor in the last 1.0 s: it waits (state S)',
    ],
    [
      'waited, but for this moment',
      { state: 'R', cpuMs: 50, overMs: 1_000 },
      'used 50 ms of processor in the last 1.0 s: it waits (state R)',
    ],
    [
      'waited for a device',
      { state: 'D', cpuMs: 0, overMs: 1_000 },
      'used 0 ms of processor in the last 1.0 s: it waits for a disk or a file system (state D)',
    ],
    ['was stopped', { state: 'T' }, 'is stopped from outside (SIGSTOP) (state T)'],
    ['is debugged', { state: 't' }, 'is held by a debugger (state t)'],
    ['runs, as far as is known', { state: 'R' }, 'computes (state R)'],
    ['sleeps, as far as is known', { state: 'S' }, 'waits (state S)'],
  ])('and %s', (_what, activity, did) => {
    expect(errorOf('M000', 3, { by: 'silence', timeoutMs: 5_000, activity }, noInput)).toMatchObject({
      code: 'TIMEOUT',
      message: `call 00003 of M000 gave no sign of life for its silenceTimeout of 5.0 s and was stopped; its process ${did}`,
    })
  })

  it('says nothing of its process where nothing is known', () => {
    expect(errorOf('M000', 3, { by: 'silence', timeoutMs: 5_000 }, noInput).message).toMatch(/5\.0 s and was stopped$/)
  })
})

/** What is said of a worker that died of memory, or was stopped. */
import { describe, expect, it } from 'vitest'
import type { InvocationDeath } from '../../src/compute/backend.ts'
import { errorOf } from '../../src/executor/outcome-error.ts'

const MIB = 2 ** 20
const errorOfDeath = (death: InvocationDeath) =>
  errorOf('M000', 3, { by: 'death', death }, () => new Error('no input is asked for'))

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

/** The error a call's future fails with, from why it failed; each message names the call and says what happened. */

import type { InvocationDeath } from '../compute/backend.ts'
import {
  CallError,
  OutOfMemoryError,
  ShutdownExecutorError,
  TerminatedWorkerError,
  TimeoutError,
  type WorkerActivity,
  type WorkerDeath,
} from '../core/errors.ts'
import { callId } from '../core/ids.ts'
import { formatDuration } from '../core/sizes.ts'
import { decodeError } from '../functions/error-codec.ts'
import type { FailureReason } from './scheduler-protocol.ts'

/** `inputError` gives the error of a map call that a reduce call needed. */
export function errorOf(job: string, call: number, why: FailureReason, inputError: (map: number) => Error): Error {
  const id = callId(call)
  const name = `call ${id} of ${job}`
  switch (why.by) {
    case 'function': {
      const cause = decodeError(why.error)
      return new CallError(`${name} failed: ${cause.name}: ${cause.message}`, id, { cause })
    }
    case 'timeout':
      return new TimeoutError(`${name} ran longer than its timeout of ${formatDuration(why.timeoutMs)} and was stopped`)
    case 'queue':
      return new TimeoutError(`${name} was queued longer than its queueTimeout of ${formatDuration(why.timeoutMs)}`)
    case 'silence':
      return new TimeoutError(
        `${name} gave no sign of life for its silenceTimeout of ${formatDuration(why.timeoutMs)} and was stopped${doing(why.activity)}`,
      )
    case 'input': {
      const cause = inputError(why.call)
      return new CallError(`${name} cannot have its inputs: ${cause.message}`, id, { cause })
    }
    case 'death':
      return deathError(name, why.death)
    case 'error':
      return why.error
  }
}

/** What the process of a silent call did. One that runs and got little of the processor had to share it with others. */
function doing(activity: WorkerActivity | undefined): string {
  if (activity === undefined) return ''
  const { state, cpuMs, overMs } = activity
  const used =
    cpuMs === undefined || overMs === undefined
      ? ''
      : `used ${formatDuration(cpuMs)} of processor in the last ${formatDuration(overMs)}: it `
  const computes =
    cpuMs === undefined || overMs === undefined ? state === 'R' : cpuMs > overMs * (state === 'R' ? 0.05 : 0.5)
  return `; its process ${used}${computes ? 'computes' : (WAITS[state] ?? 'waits')} (state ${state})`
}

const WAITS: Readonly<Record<string, string>> = {
  D: 'waits for a disk or a file system',
  T: 'is stopped from outside (SIGSTOP)',
  t: 'is held by a debugger',
}

function deathError(name: string, death: InvocationDeath | undefined): Error {
  if (death === undefined)
    return new TerminatedWorkerError(`${name}: its worker ended the invocation without a word about it`)
  const details: WorkerDeath = { exitCode: death.exitCode, signal: death.signal, stderrTail: death.stderrTail }
  switch (death.reason) {
    case 'outOfMemory':
      return memoryError(name, death, details)
    case 'frozen':
      return new TerminatedWorkerError(
        `${name}: its worker was stopped from outside (SIGSTOP), did not go on, and was ended`,
        details,
      )
    case 'closed':
      return new ShutdownExecutorError(`${name} was ended by the shutdown of its executor`)
    case 'neverStarted':
      return new TerminatedWorkerError(
        `${name}: its worker could not start (${howItEnded(death)})${tail(death)}`,
        details,
      )
    case 'stopped':
    case 'exited':
      return new TerminatedWorkerError(
        `${name}: its worker ended while it ran (${howItEnded(death)})${tail(death)}`,
        details,
      )
  }
}

function memoryError(name: string, death: InvocationDeath, details: WorkerDeath): OutOfMemoryError {
  const { memoryLimitMiB: limitMiB, heldBytes, probably } = death
  const heldMiB = heldBytes === undefined ? undefined : Math.round(heldBytes / 2 ** 20)
  const held = heldMiB === undefined ? '' : `, it held ${heldMiB} MiB when it was last measured`
  const limit = limitMiB === undefined ? 'it had no limit of its own' : `its limit of ${limitMiB} MiB`
  const what = probably === true ? 'was killed from outside, probably because memory ran out' : 'ran out of memory'
  return new OutOfMemoryError(
    `${name}: its worker ${what} (${limit}${held}); raise runtimeMemory or read in smaller partitions`,
    { ...details, limitMiB, heldMiB },
  )
}

function howItEnded({ exitCode, signal, reason }: InvocationDeath): string {
  if (signal !== undefined) return `signal ${signal}`
  if (exitCode !== undefined) return `exit code ${exitCode}`
  return reason === 'stopped' ? 'stopped' : 'cause unknown'
}

function tail({ stderrTail }: WorkerDeath): string {
  const lines = (stderrTail ?? '')
    .trim()
    .split('\n')
    .filter((line) => line.trim() !== '')
  return lines.length === 0 ? '' : `; last on its stderr: ${lines.slice(-3).join(' | ').slice(0, 500)}`
}

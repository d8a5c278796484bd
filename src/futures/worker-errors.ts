/** What a task's future gets when its worker is no more: a new error for each, so that stacks are not shared. */
import { BrokenExecutorError, CancelledError, OutOfMemoryError, TerminatedWorkerError } from '../core/errors.ts'
import type { PoolDeath } from '../pool/death.ts'
import { toMiB } from '../pool/memory-limit.ts'
import { killedByShutdown } from './outcome.ts'

/** `during` says what the worker was doing: `while it ran task 'resize'`. */
export function deathError(death: PoolDeath, during: string): Error {
  switch (death.reason) {
    case 'unsendable':
      return death.error ?? new BrokenExecutorError(`a task could not be sent to its worker ${during}`)
    case 'closed':
      return killedByShutdown()
    case 'stopped':
      return new CancelledError(`the worker was stopped ${during}`)
    case 'neverStarted':
      return new BrokenExecutorError(`no worker can be started: ${howItEnded(death)}${lastWords(death)}`)
    case 'outOfMemory':
      return outOfMemory(death, during)
    case 'frozen':
      return new TerminatedWorkerError(
        `a worker was stopped from outside ${during}, did not go on, and was ended`,
        death,
      )
    default:
      return new TerminatedWorkerError(
        `a worker was terminated ${during}: ${howItEnded(death)}${hint(death)}${lastWords(death)}`,
        death,
      )
  }
}

function outOfMemory(death: PoolDeath, during: string): OutOfMemoryError {
  const { memoryLimitMiB: limitMiB, heldBytes } = death
  const heldMiB = heldBytes === undefined ? undefined : toMiB(heldBytes)
  const facts = [
    ...(limitMiB === undefined ? [] : [`limit ${limitMiB} MiB`]),
    ...(heldMiB === undefined ? [] : [`${heldMiB} MiB held`]),
  ]
  const known = facts.length === 0 ? '' : ` (${facts.join(', ')})`
  const what = death.probably === true ? 'was killed, probably because memory ran out' : 'ran out of memory'
  return new OutOfMemoryError(`a worker ${what}${known} ${during}: ${howItEnded(death)}${lastWords(death)}`, {
    ...death,
    limitMiB,
    heldMiB,
  })
}

/** As loky writes it: `SIGKILL`, `EXIT(3)`. */
function howItEnded({ signal, exitCode, error }: PoolDeath): string {
  if (signal !== undefined) return signal
  if (exitCode !== undefined) return `EXIT(${exitCode})`
  return error?.message ?? 'it left no exit code'
}

function hint({ signal }: PoolDeath): string {
  if (signal === 'SIGKILL') return ' (killed from outside; the system does so when memory runs out)'
  return signal === 'SIGSEGV' || signal === 'SIGABRT' || signal === 'SIGBUS' ? ' (a crash in native code)' : ''
}

function lastWords({ stderrTail = '' }: PoolDeath): string {
  const said = stderrTail.trim()
  return said === '' ? '' : `\n${said}`
}

/** A death that nobody asked for. */
export function isCrash({ reason }: PoolDeath): boolean {
  return reason === 'exited' || reason === 'outOfMemory' || reason === 'frozen'
}

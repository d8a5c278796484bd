/** Tells how a worker ended, as data: pure, from what the operating system and its last words say. */
import type { WorkerDeath } from '../core/errors.ts'
import type { WorkerExit } from './worker-link.ts'

export interface PoolDeath extends WorkerDeath {
  /** `unsendable`: it never left, because its direct value cannot travel; `error` says why. */
  readonly reason: 'exited' | 'outOfMemory' | 'stopped' | 'neverStarted' | 'closed' | 'unsendable'
  readonly memoryLimitMiB?: number | undefined
  /** What the worker ended by, where that was an error and not an exit code. */
  readonly error?: Error
}

/** V8's last words; alone they prove nothing (a program may print them), with an abort they do. */
const HEAP_EXHAUSTED = /heap out of memory|Reached heap limit|ERR_WORKER_OUT_OF_MEMORY/

/** 134 is 128 + SIGABRT, as a shell in between reports it; 5 is how Windows and some builds end. */
const ABORT_CODES: ReadonlySet<number> = new Set([134, 5])

export function classifyDeath(
  exit: WorkerExit,
  context: { readonly ended?: 'stopped' | 'closed' | undefined; readonly memoryMiB?: number | undefined },
): PoolDeath {
  const facts = deathFacts(exit)
  if (context.ended !== undefined) return { reason: context.ended, ...facts }
  if (isOutOfMemory(exit)) return { reason: 'outOfMemory', memoryLimitMiB: context.memoryMiB, ...facts }
  return { reason: 'exited', ...facts }
}

export function deathFacts(exit: WorkerExit): WorkerDeath & { readonly error?: Error } {
  const tail = exit.error === undefined ? exit.stderrTail : `${exit.stderrTail}${exit.error.message}`
  return {
    ...(exit.error === undefined ? {} : { error: exit.error }),
    ...(exit.exitCode === undefined ? {} : { exitCode: exit.exitCode }),
    ...(exit.signal === undefined ? {} : { signal: exit.signal }),
    stderrTail: tail,
  }
}

/** One line for people: `exit code 1`, `signal SIGKILL`, or the error that kept it from starting. */
export function describeExit(exit: WorkerExit): string {
  if (exit.error !== undefined) return exit.error.message
  return exit.signal === undefined ? `exit code ${exit.exitCode}` : `signal ${exit.signal}`
}

function isOutOfMemory(exit: WorkerExit): boolean {
  if ((exit.error as NodeJS.ErrnoException | undefined)?.code === 'ERR_WORKER_OUT_OF_MEMORY') return true
  const aborted = exit.signal === 'SIGABRT' || (exit.exitCode !== undefined && ABORT_CODES.has(exit.exitCode))
  return aborted && HEAP_EXHAUSTED.test(exit.stderrTail)
}

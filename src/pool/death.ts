/** Tells how a worker ended, as data: pure, from what the operating system and its last words say. */
import type { WorkerDeath } from '../core/errors.ts'
import { isNear } from './memory-limit.ts'
import type { WorkerExit } from './worker-link.ts'

/** Why a pool ends a worker. `frozen`: it was stopped and did not go on. */
export type EndedBy = 'stopped' | 'closed' | 'frozen' | 'outOfMemory'

export interface PoolDeath extends WorkerDeath {
  /** `unsendable`: it never left, because its direct value cannot travel; `error` says why. */
  readonly reason: 'exited' | 'outOfMemory' | 'frozen' | 'stopped' | 'neverStarted' | 'closed' | 'unsendable'
  readonly memoryLimitMiB?: number | undefined
  /** What it held beyond what it held when it was ready, where that was measured. */
  readonly heldBytes?: number | undefined
  /** It was killed from outside, and all that is known points to memory. */
  readonly probably?: true | undefined
  /** What the worker ended by, where that was an error and not an exit code. */
  readonly error?: Error
}

/** V8's last words; alone they prove nothing (a program may print them), with an abort they do. */
const HEAP_EXHAUSTED = /heap out of memory|Reached heap limit|ERR_WORKER_OUT_OF_MEMORY/

/** 134 is 128 + SIGABRT, as a shell in between reports it; 5 is how Windows and some builds end. */
const ABORT_CODES: ReadonlySet<number> = new Set([134, 5])

/** What was known of a worker when it ended. */
export interface DeathContext {
  readonly ended?: EndedBy | undefined
  readonly memoryMiB?: number | undefined
  readonly heldBytes?: number | undefined
  /** The kernel has lately killed some process for want of memory. */
  readonly kernelKilled?: boolean | undefined
}

export function classifyDeath(exit: WorkerExit, context: DeathContext): PoolDeath {
  const { ended, memoryMiB: memoryLimitMiB, heldBytes } = context
  const facts = deathFacts(exit)
  if (ended !== undefined && ended !== 'outOfMemory') return { reason: ended, ...facts }
  const memory = { reason: 'outOfMemory', memoryLimitMiB, heldBytes, ...facts } as const
  if (ended === 'outOfMemory' || isOutOfMemory(exit)) return memory
  if (exit.signal === 'SIGKILL' && looksLikeMemory(context)) return { ...memory, probably: true }
  return { reason: 'exited', ...facts }
}

function looksLikeMemory({ kernelKilled, heldBytes, memoryMiB }: DeathContext): boolean {
  if (kernelKilled === true) return true
  return heldBytes !== undefined && memoryMiB !== undefined && isNear(heldBytes, memoryMiB)
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

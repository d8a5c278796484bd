/**
 * Waiting for calls: until all, any, a percentage or the first failure is done, or the time is over. A timeout and a
 * signal end the wait and nothing else.
 */
import { parseOptions, type ReturnWhen, type WaitSettings } from '../config/options.ts'
import { TimeoutError, ValidationError } from '../core/errors.ts'
import { show } from '../core/fields.ts'
import { formatDuration } from '../core/sizes.ts'
import { Endings } from '../futures/endings.ts'
import { Future } from '../futures/future.ts'
import { failuresOf } from './failures.ts'
import type { GetResultOptions } from './options.ts'
import type { ResponseFuture } from './response-future.ts'

export interface Split<R> {
  readonly done: ResponseFuture<R>[]
  readonly notDone: ResponseFuture<R>[]
}

/** Splits futures by whether they are done, in the given order, once `returnWhen` holds or the time is over. */
export async function waitFor<R>(futures: readonly ResponseFuture<R>[], settings: WaitSettings): Promise<Split<R>> {
  const { returnWhen = 'ALL_COMPLETED', timeoutMs, throwExcept, downloadResults, signal } = settings
  const distinct = [...new Set(futures)]
  await untilDone(distinct, { needed: neededOf(returnWhen, distinct.length), returnWhen, timeoutMs, signal })
  const done = distinct.filter((future) => future.done())
  const notDone = distinct.filter((future) => !future.done())
  if (throwExcept === true) throwFailures(done)
  if (downloadResults === true) await Promise.allSettled(done.map((future) => future.result()))
  return { done, notDone }
}

/** Results in the given order, once all are done. @throws JobError, TimeoutError, the signal's reason */
export async function getResults<R>(
  futures: readonly ResponseFuture<R>[],
  options: GetResultOptions | undefined,
  where: string,
): Promise<R[] | PromiseSettledResult<R>[]> {
  const { timeoutMs, throwExcept, signal } = parseOptions('getResult', options, where)
  for (const future of futures) requireFuture(future, where)
  await untilDone([...new Set(futures)], { needed: new Set(futures).size, timeoutMs, signal })
  if (futures.some((future) => !future.done())) throw unfinished(futures, timeoutMs ?? 0)
  if (throwExcept === false) return Promise.allSettled(futures.map((future) => future.result()))
  throwFailures(futures)
  return Promise.all(futures.map((future) => future.result()))
}

/** What a wait for these calls ends with when the time is over: what is done, and what is not. */
export function unfinished(calls: readonly Future<unknown>[], timeoutMs: number): TimeoutError {
  const done = calls.filter((call) => call.done())
  const notDone = calls.filter((call) => !call.done())
  const message = `${notDone.length} of ${calls.length} calls unfinished after ${formatDuration(timeoutMs)}`
  return new TimeoutError(message, { done, notDone })
}

/** @throws ValidationError for what is no future */
export function requireFuture(given: unknown, where: string): Future<unknown> {
  if (given instanceof Future) return given
  throw new ValidationError(`${where}: expected futures of an executor or its jobs, got ${show(given)}`)
}

function throwFailures(futures: readonly ResponseFuture<unknown>[]): void {
  const error = failuresOf([...new Set(futures.map((future) => future.jobId))].join(', '), futures)
  if (error === undefined) return
  // who is thrown the failures has been told of each
  for (const future of futures) if (future.failed()) future.exception().catch(() => undefined)
  throw error
}

function neededOf(returnWhen: ReturnWhen, count: number): number {
  if (returnWhen === 'ALWAYS') return 0
  if (returnWhen === 'ANY_COMPLETED') return Math.min(1, count)
  if (typeof returnWhen === 'number') return Math.ceil((returnWhen * count) / 100)
  return count
}

interface Until {
  readonly needed: number
  readonly returnWhen?: ReturnWhen
  readonly timeoutMs: number | undefined
  readonly signal: AbortSignal | undefined
}

/** Resolves when so many are done, the first has failed where that is asked for, or the time is over. @throws the signal's reason */
export async function untilDone(
  futures: readonly Future<unknown>[],
  { needed, returnWhen, timeoutMs, signal }: Until,
): Promise<void> {
  signal?.throwIfAborted()
  const endings = new Endings<Future<unknown>>(timeoutMs, signal)
  for (const future of futures) endings.watch(future)
  try {
    let [done, over] = [0, needed === 0]
    for (let more = true; more && !over; more = over || (await endings.next())) {
      for (let future = endings.shift(); future !== undefined; future = endings.shift()) {
        done += 1
        over ||= done >= needed || (returnWhen === 'FIRST_EXCEPTION' && future.failed())
      }
    }
  } finally {
    endings.close()
  }
}

/** Waiting for futures: until all, any, a percentage or the first failure is done, or the time is over. */
import { parseOptions } from '../config/options.ts'
import { TimeoutError } from '../core/errors.ts'
import { formatDuration } from '../core/sizes.ts'
import { Endings } from '../futures/endings.ts'
import { failuresOf } from './failures.ts'
import type { GetResultOptions, WaitOptions } from './options.ts'
import type { ResponseFuture } from './response-future.ts'

/** Splits futures by whether they are done, in the given order, once `returnWhen` holds or `timeout` is over. */
export async function waitFor<R>(
  futures: readonly ResponseFuture<R>[],
  options: WaitOptions | undefined,
  where: string,
): Promise<{ done: ResponseFuture<R>[]; notDone: ResponseFuture<R>[] }> {
  const { returnWhen, timeoutMs, throwExcept, downloadResults, signal } = parseOptions('wait', options, where)
  const distinct = [...new Set(futures)]
  await untilDone(
    distinct,
    neededOf(returnWhen ?? 'ALL_COMPLETED', distinct.length),
    returnWhen === 'FIRST_EXCEPTION',
    timeoutMs,
    signal,
  )
  const done = distinct.filter((future) => future.done())
  const notDone = distinct.filter((future) => !future.done())
  if (throwExcept === true) throwFailures(done)
  if (downloadResults === true) await Promise.allSettled(done.map((future) => future.result()))
  return { done, notDone }
}

/** Results in the given order, once all are done. @throws JobError, TimeoutError */
export async function getResults<R>(
  futures: readonly ResponseFuture<R>[],
  options: GetResultOptions | undefined,
  where: string,
): Promise<R[] | PromiseSettledResult<R>[]> {
  const { timeoutMs, throwExcept, signal } = parseOptions('getResult', options, where)
  const distinct = [...new Set(futures)]
  await untilDone(distinct, distinct.length, false, timeoutMs, signal)
  const notDone = futures.filter((future) => !future.done())
  if (notDone.length > 0) {
    const done = futures.filter((future) => future.done())
    const message = `${notDone.length} of ${futures.length} calls unfinished after ${formatDuration(timeoutMs ?? 0)}`
    throw new TimeoutError(message, { done, notDone })
  }
  if (throwExcept === false) return Promise.allSettled(futures.map((future) => future.result()))
  throwFailures(futures)
  return Promise.all(futures.map((future) => future.result()))
}

function throwFailures(futures: readonly ResponseFuture<unknown>[]): void {
  const jobs = [...new Set(futures.map((future) => future.jobId))].join(', ')
  const error = failuresOf(jobs, futures)
  if (error !== undefined) throw error
}

function neededOf(returnWhen: Exclude<WaitOptions['returnWhen'], undefined>, count: number): number {
  if (returnWhen === 'ALWAYS') return 0
  if (returnWhen === 'ANY_COMPLETED') return Math.min(1, count)
  if (typeof returnWhen === 'number') return Math.ceil((returnWhen * count) / 100)
  return count
}

async function untilDone(
  futures: readonly ResponseFuture<unknown>[],
  needed: number,
  firstException: boolean,
  timeoutMs: number | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted()
  const endings = new Endings<ResponseFuture<unknown>>(timeoutMs, signal)
  for (const future of futures) endings.watch(future)
  try {
    let [done, over] = [0, needed === 0]
    for (let more = true; more && !over; more = over || (await endings.next())) {
      for (let future = endings.shift(); future !== undefined; future = endings.shift()) {
        done += 1
        over ||= done >= needed || (firstException && future.failed())
      }
    }
  } finally {
    endings.close()
  }
}

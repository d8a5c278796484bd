/** Waiting for what an executor made, jobs and single calls mixed, planned or not. */
import { parseOptions, type ReturnWhen } from '../config/options.ts'
import { abortable } from '../core/abortable.ts'
import { JobError, ValidationError } from '../core/errors.ts'
import { Future } from '../futures/future.ts'
import { Job } from './job.ts'
import type { Progress } from './job-totals.ts'
import type { GetResultOptions, WaitOptions } from './options.ts'
import { ResponseFuture } from './response-future.ts'
import { getResults, requireFuture, type Split, unfinished, untilDone, waitFor } from './wait.ts'

type AnyFuture = Future<unknown>

/**
 * The calls of what is given, split by whether they are done. A job that is still being planned when the time is over
 * has none yet, one whose items are still being read those that are known. Where all calls are waited for, or a share of
 * them, all must be known; not where one end is enough. @throws what kept a job from being planned
 */
export async function waitForMade(
  given: readonly unknown[],
  options: WaitOptions | undefined,
): Promise<Split<unknown>> {
  const settings = parseOptions('wait', options, 'wait options')
  const { signal, returnWhen, timeoutMs } = settings
  const patienceMs = returnWhen === 'ALWAYS' ? 0 : timeoutMs
  const startedAt = performance.now()
  const leftMs = () => Math.max(0, (patienceMs ?? 0) - (performance.now() - startedAt))
  const futures = given.map((made) => requireFuture(made, 'wait'))
  const known = untilKnown(futures, returnWhen)
  await (patienceMs === undefined ? abortable(known, { signal }) : abortable(known, { signal, timeoutMs: leftMs() }))
  const calls = futures.flatMap((made) => [...callsOf(made)])
  return waitFor(calls, patienceMs === undefined ? settings : { ...settings, timeoutMs: leftMs() })
}

/** The results of a job or call, of a list of calls, or of everything in `unread`. @throws JobError, TimeoutError */
export async function resultOf(
  fs: AnyFuture | readonly ResponseFuture<unknown>[] | undefined,
  options: GetResultOptions | undefined,
  unread: readonly AnyFuture[],
): Promise<unknown> {
  if (fs === undefined) return resultsOfAll(unread, options)
  if (fs instanceof Future) {
    const results = await resultsOfAll([fs], options)
    return results[0]
  }
  if (Array.isArray(fs) && !fs.some((each) => each instanceof Job)) return getResults(fs, options, 'getResult options')
  return resultsOfAll([...fs], options)
}

async function resultsOfAll(made: readonly AnyFuture[], options: GetResultOptions | undefined): Promise<unknown[]> {
  const { timeoutMs, throwExcept, signal } = parseOptions('getResult', options, 'getResult options')
  const futures = made.map((each) => requireFuture(each, 'getResult'))
  await untilDone(futures, { needed: new Set(futures).size, timeoutMs, signal })
  if (futures.some((future) => !future.done())) throw unfinished(futures.flatMap(knownCalls), timeoutMs ?? 0)
  const settled = await Promise.allSettled(futures.map((future) => future.result()))
  if (throwExcept === false) return settled
  const failures = settled.flatMap((each, i) =>
    each.status === 'rejected' ? [{ i, error: each.reason as Error }] : [],
  )
  if (failures.length > 0) throw oneErrorOf(failures, futures)
  return settled.map((each) => (each as PromiseFulfilledResult<unknown>).value)
}

/** The error itself where only one failed. */
function oneErrorOf(failures: readonly { i: number; error: Error }[], futures: readonly AnyFuture[]): Error {
  const [first] = failures
  if (failures.length === 1 && first !== undefined) return first.error
  const jobId = failures.map(({ i }) => nameOf(futures[i] as AnyFuture)).join(', ')
  const shown = failures.slice(0, 3).map(({ error }) => error.message)
  return new JobError(`${failures.length} of ${futures.length} failed (${jobId}): ${shown.join('; ')}`, {
    jobId,
    errors: failures.map(({ error }) => error),
    failedCalls: failures.flatMap(({ error }) => (error instanceof JobError ? error.failedCalls : [])),
    callCount: futures.length,
  })
}

function nameOf(future: AnyFuture): string {
  return future instanceof Job || future instanceof ResponseFuture ? future.jobId : String(future)
}

/** Until the calls of all are known; or, where the end of one call is enough, that has come. */
async function untilKnown(futures: readonly AnyFuture[], returnWhen: ReturnWhen | undefined): Promise<void> {
  const one = returnWhen === 'ANY_COMPLETED' || returnWhen === 'FIRST_EXCEPTION'
  const isOver = ({ done, failed }: Progress) => one && (returnWhen === 'ANY_COMPLETED' ? done : failed) > 0
  const all = Promise.all(futures.map((made) => made instanceof Job && made.whenKnown(isOver)))
  if (!one) return void (await all)
  const first = futures.map(async (made) => {
    if (made instanceof Job) await made.whenKnown(isOver)
    else await made.exception().catch(() => null)
    const over = made instanceof Job ? isOver(made.progress) : returnWhen === 'ANY_COMPLETED' || made.failed()
    // one that ends without what is waited for leaves it to the others
    if (!over) await all
  })
  await Promise.race([all, ...first])
}

function callsOf(made: AnyFuture): readonly ResponseFuture<unknown>[] {
  if (made instanceof ResponseFuture) return [made]
  if (made instanceof Job) return made.known
  throw new ValidationError(`wait: expected futures of an executor or its jobs, got ${made}`)
}

function knownCalls(made: AnyFuture): readonly AnyFuture[] {
  return made instanceof Job && made.known.length > 0 ? made.known : [made]
}

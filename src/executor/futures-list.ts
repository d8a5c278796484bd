import { parseOptions } from '../config/options.ts'
import type { GetResultOptions, WaitOptions } from './options.ts'
import type { ResponseFuture } from './response-future.ts'
import { getResults, waitFor } from './wait.ts'

/** Futures in input order. */
export class FuturesList<R> extends Array<ResponseFuture<R>> {
  /** Slices and maps of it are plain arrays. */
  static override get [Symbol.species](): ArrayConstructor {
    return Array
  }

  static fromFutures<R>(futures: Iterable<ResponseFuture<R>>): FuturesList<R> {
    const list = new FuturesList<R>()
    for (const future of futures) list.push(future)
    return list
  }

  async wait(options?: WaitOptions): Promise<{ done: FuturesList<R>; notDone: FuturesList<R> }> {
    const { done, notDone } = await waitFor(this, parseOptions('wait', options, 'wait options'))
    return { done: FuturesList.fromFutures(done), notDone: FuturesList.fromFutures(notDone) }
  }

  /** Results in the list's order. @throws JobError when any call failed, unless `throwExcept` is false */
  getResult(options: GetResultOptions & { readonly throwExcept: false }): Promise<PromiseSettledResult<R>[]>
  getResult(options?: GetResultOptions): Promise<R[]>
  getResult(options?: GetResultOptions): Promise<R[] | PromiseSettledResult<R>[]> {
    return getResults(this, options, 'getResult options')
  }
}

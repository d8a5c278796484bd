/** The types of what users pass to an executor. */
import type { Plan } from '../../partitioner/plan.ts'
import type { ObjectSelection } from '../../partitioner/select.ts'
import type { Future } from '../futures/future.ts'
import type { TaskContext } from '../worker/task-context.ts'
import type { ResponseFuture } from './response-future.ts'

export type Awaitable<T> = T | PromiseLike<T>

/**
 * What follows the first argument: `extraArgs`, then the context. A condition, so that the types of the extra arguments
 * are inferred from the option and not from a function that leaves the context out.
 */
export type Rest<X extends readonly unknown[]> = X extends readonly [] ? [TaskContext] : [...X, TaskContext]

/** `X`: the types of `extraArgs`. */
export type MapFunction<T, R, X extends readonly unknown[]> = (item: T, ...rest: Rest<X>) => Awaitable<R>

export type ReduceFunction<R, Out, Y extends readonly unknown[]> = (results: R[], ...rest: Rest<Y>) => Awaitable<Out>

/** Only these are partitioned; an array of CloudObjects is plain items. */
export type Source = ObjectSelection | Plan

/** A string is no list of items: `objects("…")` was meant. */
export type Items<T> = (Iterable<T> | AsyncIterable<T>) & object

export type Waitable = Future<unknown> | readonly (Future<unknown> | ResponseFuture<unknown>)[]

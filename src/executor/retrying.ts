/**
 * A FunctionExecutor whose calls are tried again by default. Everything else is the executor's own, so a retry is the
 * scheduler's: at once when its call fails, of that call alone, with the partition it had.
 */
import { isRecord } from '../core/fields.ts'
import type { Executor } from '../futures/executor.ts'
import type { Storage } from '../storage/storage.ts'
import { CallExecutor } from './call-executor.ts'
import type { FunctionExecutor } from './function-executor.ts'
import type { CallOptions, RetryPolicy } from './options.ts'

type Whole = Pick<FunctionExecutor, keyof FunctionExecutor>
type AnyMethod = (...args: unknown[]) => unknown

/** Tries beside the first where neither the executor nor the call says. */
const RETRIES = 2

/** All that a FunctionExecutor does; `retries` of a call is taken together with the defaults, and wins. */
export class RetryingFunctionExecutor implements Whole {
  readonly #executor: FunctionExecutor
  readonly #defaults: RetryPolicy

  /** Shutting it down shuts the executor down. @throws ValidationError at the first call, for defaults that do not fit */
  constructor(executor: FunctionExecutor, defaults: RetryPolicy = { retries: RETRIES }) {
    this.#executor = executor
    this.#defaults = defaults
  }

  get executorId(): string {
    return this.#executor.executorId
  }

  get storage(): Storage {
    return this.#executor.storage
  }

  readonly callAsync = ((fn: unknown, data: unknown, options?: unknown) =>
    this.#retried('callAsync', [fn, data], options)) as Whole['callAsync']

  readonly map = ((fn: unknown, source: unknown, options?: unknown) =>
    this.#retried('map', [fn, source], options)) as Whole['map']

  readonly mapReduce = ((map: unknown, source: unknown, reduce: unknown, options?: unknown) =>
    this.#retried('mapReduce', [map, source, reduce], options)) as Whole['mapReduce']

  readonly plan: Whole['plan'] = (...args) => this.#executor.plan(...args)
  readonly wait: Whole['wait'] = (...args) => this.#executor.wait(...args)
  readonly getResult = ((...args: unknown[]) => this.#ask('getResult', args)) as Whole['getResult']
  readonly plot: Whole['plot'] = (...args) => this.#executor.plot(...args)
  readonly jobSummary: Whole['jobSummary'] = (options) => this.#executor.jobSummary(options)
  readonly resume: Whole['resume'] = (...args) => this.#executor.resume(...args)
  readonly replay: Whole['replay'] = (...args) => this.#executor.replay(...args)
  readonly jobs: Whole['jobs'] = (options) => this.#executor.jobs(options)
  readonly clean: Whole['clean'] = (options) => this.#executor.clean(options)
  readonly shutdown: Whole['shutdown'] = (options) => this.#executor.shutdown(options)

  /** PEP 3148's interface; its tasks are tried again too. */
  asExecutor(): Executor {
    return new CallExecutor(this)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#executor.shutdown()
  }

  #retried(method: 'callAsync' | 'map' | 'mapReduce', args: readonly unknown[], options: unknown = {}): unknown {
    // what is no options at all is refused where it is checked
    return this.#ask(method, [...args, isRecord(options) ? this.#merged(options) : options])
  }

  #merged({ retries, ...options }: CallOptions): CallOptions {
    if (retries === undefined) return { ...options, retries: this.#defaults }
    if (typeof retries === 'number') return { ...options, retries: { ...this.#defaults, retries } }
    return { ...options, retries: isRecord(retries) ? { ...this.#defaults, ...retries } : retries }
  }

  #ask(method: keyof Whole, args: readonly unknown[]): unknown {
    return (this.#executor[method] as AnyMethod).apply(this.#executor, [...args])
  }
}

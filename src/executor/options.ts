/** The options of the public methods, as users give them (config/options.ts validates and normalises them). */
import type { PartitionOptions } from '../../partitioner/plan.ts'

/** Milliseconds, or text such as `"30s"`. */
export type Duration = number | string

export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'silent'

export interface ExecutorOptions {
  /** `localhost` is the only mode of this version. */
  readonly mode?: 'localhost' | undefined
  /** Compute backend: `localhost` (worker processes, the default) or `inline` (this process, for tests and debugging). */
  readonly backend?: string | undefined
  /** Storage backend behind `executor.storage`: `localhost` (default), `memory`, `aws_s3`. */
  readonly storage?: string | undefined
  /** Used instead of any configuration file. */
  readonly config?: Readonly<Record<string, unknown>> | undefined
  readonly configFile?: string | undefined
  readonly logLevel?: LogLevel | undefined
  readonly showProgressbar?: boolean | undefined
  /** How ends of calls are learned: pushed over the workers' channels. */
  readonly monitoring?: 'channel' | undefined
  /** Worker processes; default: the processors this process may use. With `workerProcesses` too, their product. */
  readonly maxWorkers?: number | undefined
  readonly workerProcesses?: number | undefined
  /** Folder of the localhost store; default `./.quern/storage`. */
  readonly storageRoot?: string | undefined
  /** Bucket of the localhost store; default `quern`. */
  readonly storageBucket?: string | undefined
  /** Heap of each worker, MiB. */
  readonly runtimeMemory?: number | undefined
}

export interface CallOptions {
  /** Longest a call may run; it is then stopped with its worker. */
  readonly timeout?: Duration | undefined
  /** Heap of the worker that runs the call, MiB. */
  readonly runtimeMemory?: number | undefined
  /** Set in the worker's environment while the call runs; strings only. */
  readonly extraEnv?: Readonly<Record<string, string>> | undefined
  /** Tries again after a failure; default 0. */
  readonly retries?: number | undefined
  /** Aborting it cancels the calls, those that run included. */
  readonly signal?: AbortSignal | undefined
  /**
   * Packages that travel with the function, as do its local modules then; `[]` and `null` leave everything to the
   * worker's installation, as leaving it out does. Needs esbuild.
   */
  readonly includeModules?: readonly string[] | null | undefined
  /** Packages, and local modules by the end of their path, that do not travel; without `includeModules`: all other local modules do. */
  readonly excludeModules?: readonly string[] | undefined
}

export interface MapOptions<X extends readonly unknown[] = readonly []> extends CallOptions {
  /** Calls per invocation; default: as few as keep messages from costing more than the calls. */
  readonly chunksize?: number | undefined
  /** Passed to the function after its item. */
  readonly extraArgs?: X | undefined
  /** The first failed call cancels the others. */
  readonly failFast?: boolean | undefined
  readonly showProgressbar?: boolean | undefined
}

export interface MapReduceOptions<
  X extends readonly unknown[] = readonly [],
  Y extends readonly unknown[] = readonly [],
> extends MapOptions<X> {
  /** The reduce call starts once this percent of the maps that feed it have ended; default 20 where waiting is free, else 100. */
  readonly spawnReducer?: number | undefined
  /** One reduce call per object; the result is a Map from object URL to its value. */
  readonly objReduceByKey?: boolean | undefined
  readonly extraArgsReduce?: Y | undefined
  readonly mapRuntimeMemory?: number | undefined
  readonly reduceRuntimeMemory?: number | undefined
}

export type { PartitionOptions }

export interface WaitOptions {
  /** Default ALL_COMPLETED. A number is a percentage of the futures. */
  readonly returnWhen?: 'ALL_COMPLETED' | 'ANY_COMPLETED' | 'ALWAYS' | 'FIRST_EXCEPTION' | number | undefined
  /** What is done by then is returned; nothing is destroyed. */
  readonly timeout?: Duration | undefined
  /** Throws JobError when a future that is done has failed; default false. */
  readonly throwExcept?: boolean | undefined
  /** Decode the results of what is done before returning. */
  readonly downloadResults?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  readonly showProgressbar?: boolean | undefined
}

export interface GetResultOptions {
  /** @throws TimeoutError with `done` and `notDone` */
  readonly timeout?: Duration | undefined
  /** false: PromiseSettledResults instead of throwing; default true. */
  readonly throwExcept?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  readonly showProgressbar?: boolean | undefined
}

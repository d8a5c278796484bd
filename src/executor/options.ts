/** The options of the public methods, as users give them (config/options.ts validates and normalises them). */
import type { PartitionOptions } from '../../partitioner/plan.ts'
import type { SelectingProgress } from '../../partitioner/select.ts'
import type { OutputName } from './output-names.ts'

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

/** How often and when a failed call is tried again. */
export interface RetryPolicy {
  /** Tries beside the first. */
  readonly retries: number
  /** Before the first retry; twice as long before each that follows, with jitter. */
  readonly backoff?: Duration | undefined
  readonly maxBackoff?: Duration | undefined
  /** Asked with what the attempt failed with and its number, from 1; false: the call has failed for good. */
  retryIf?(error: Error, attempt: number): boolean
  /** After a death for want of memory the next attempt gets so many times the memory; default 2. */
  readonly memoryFactor?: number | undefined
  /** MiB; the most an attempt is given by that. */
  readonly maxMemory?: number | undefined
  /** Retries of the whole job. */
  readonly budget?: number | undefined
}

export interface PlanningOptions {
  readonly signal?: AbortSignal | undefined
  /** Told after every page of a listing, and every part of an inventory or a key list. */
  readonly onProgress?: ((progress: SelectingProgress) => void) | undefined
}

export interface CallOptions {
  /** Longest a call may run; it is then stopped with its worker. */
  readonly timeout?: Duration | undefined
  /** Longest a call may wait in the queue before it starts; a reduce waits for its maps however long they take. */
  readonly queueTimeout?: Duration | undefined
  /** Longest a call that runs may give no sign of life: no bytes read, nothing logged, no heartbeat of its worker. */
  readonly silenceTimeout?: Duration | undefined
  /** Heap of the worker that runs the call, MiB. */
  readonly runtimeMemory?: number | undefined
  /** Set in the worker's environment while the call runs; strings only. */
  readonly extraEnv?: Readonly<Record<string, string>> | undefined
  /** Tries again after a failure; default 0. */
  readonly retries?: number | RetryPolicy | undefined
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
  /**
   * Failed calls that the job survives, as a number or a percentage (`"5%"`); of a mapReduce: of its maps. Their results
   * are `undefined`, or absent from the reduce; `job.failures()` lists them. One more fails the job at once.
   */
  readonly maxFailures?: number | string | undefined
  /**
   * A call that runs much longer than the others gets a backup, the first to succeed counts, the other is stopped.
   * Default: no backups. Both may run to their end, so what a call does besides its result should bear repeating.
   */
  readonly speculate?: boolean | SpeculationOptions | undefined
  /**
   * `'bisect'`: a call that failed for good is halved on record boundaries until the records are found on which the
   * function fails; they are set aside (`job.quarantined()`), and the job goes on without them. Default `'fail'`.
   */
  readonly onFailure?: 'fail' | 'bisect' | undefined
  /** Records that may be set aside by `onFailure: 'bisect'`; with more the job fails. Default 100. */
  readonly maxQuarantined?: number | undefined
  /**
   * The function may be given less than its partition: while it runs, the end of what it reads moves to an earlier
   * record, and another call reads the rest. Default false: the parts would be a surprise to it.
   */
  readonly splittable?: boolean | undefined
  readonly showProgressbar?: boolean | undefined
  /**
   * Keeps a journal, so that the job survives the death of this process: `executor.resume(job.name)`. Default: true for
   * jobs over objects where the storage can hold one, false for items.
   */
  readonly durable?: boolean | undefined
  /** The bucket of the journal, where the executor's storage cannot put conditionally: `'s3://bucket'`. */
  readonly journalStorage?: string | undefined
  /** Where the results of the calls (of a mapReduce: of the reducers) go, each as an object of its own. */
  readonly output?: string | OutputOptions | undefined
}

/** A call is a straggler when it runs longer than `factor` times the median of those that have succeeded. */
export interface SpeculationOptions {
  /** Jobs of fewer calls have no backups; default 10. */
  readonly minCalls?: number | undefined
  /** Share of the calls, 0 to 1, that must have succeeded; default 0.5. */
  readonly minDoneFraction?: number | undefined
  /** Default 3. */
  readonly factor?: number | undefined
}

export interface OutputOptions {
  /** Begins the key of every output: `s3://bucket/results/`, a folder. */
  readonly to: string
  /**
   * Names below it: a template of {key} {bucket} {dir} {name} {stem} {ext} {index} {count} {call}, or a function of the
   * same, which runs here. Default: the key of the object, and `/part-00000` where it has several partitions; `result`
   * for a reduce of everything.
   */
  readonly name?: OutputName | undefined
  /** What is there already: keeps the job from running (default), or is replaced. */
  readonly ifExists?: 'refuse' | 'replace' | undefined
  /** `auto` (default): bytes, text and streams of those as they are, lists as NDJSON, all else as JSON. */
  readonly format?: 'auto' | 'json' | 'ndjson' | undefined
  /** Default: as the format says. */
  readonly contentType?: string | undefined
  /** Adds `.gz` to the names. */
  readonly compress?: 'gzip' | undefined
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

export interface ResumeOptions {
  /** Take the functions as they are now, where they have changed; what the old ones did is discarded and done again. */
  readonly useNewCode?: boolean | undefined
  /** Plan objects anew that have changed, instead of refusing them. */
  readonly replan?: boolean | undefined
  /** The bucket its journal lies in, as a URL, where that is not the executor's own. */
  readonly journalStorage?: string | undefined
}

export interface ReplayOptions {
  /** Folder: the input of the call and a test that runs the function on it are written there. */
  readonly saveFixture?: string | undefined
  readonly journalStorage?: string | undefined
}

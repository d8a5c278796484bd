/** What the commands are given, so that they can run in a test as well as in a terminal. */
import type { Plan } from '../../partitioner/plan.ts'
import type { Config } from '../config/config.ts'
import type { BackendResolver } from '../storage/backend.ts'

export interface Output {
  /** False: wait for `drain` before more is written. */
  write(text: string): unknown
  once?(event: 'drain', listener: () => void): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
}

/** The future of a command's work. */
export interface CliFuture extends PromiseLike<unknown> {
  cancel(options?: { readonly running?: boolean }): boolean
}

export interface CliJob extends CliFuture {
  /** `{executorId}-{jobId}` */
  readonly name: string
  /** It can be resumed by its name. */
  readonly durable: boolean
  /** Records on which its function fails. */
  quarantined(): Promise<readonly SetAsideRecord[]>
}

export interface SetAsideRecord {
  readonly object: { readonly url: string }
  readonly range: { readonly start: number; readonly end: number }
  readonly error: Error
}

type AnyFunction = (...args: never[]) => unknown

/** The part of a FunctionExecutor that the commands use. */
export interface CliExecutor {
  readonly executorId: string
  callAsync(fn: AnyFunction, data: unknown, options?: object): CliFuture
  map(fn: AnyFunction, source: unknown, options?: object): CliJob
  mapReduce(map: AnyFunction, source: unknown, reduce: unknown, options?: object): CliJob
  plan(source: unknown, options?: object): Promise<Plan>
  resume(job: string, options?: object): CliJob
  replay(job: string, call: string, options?: object): Promise<unknown>
  shutdown(options?: { readonly wait?: boolean; readonly cancelFutures?: boolean }): Promise<void>
}

/** The stores of a configuration, each connected at its first use. */
export interface CliStores {
  readonly config: Config
  readonly resolve: BackendResolver
  close(): Promise<void>
}

export interface CliContext {
  readonly stdout: Output
  readonly stderr: Output
  readonly cwd: string
  /** Opened at the first need: parsing the command line must not pay for it. */
  openExecutor(options: Readonly<Record<string, unknown>>): Promise<CliExecutor>
  /** @throws ConfigError */
  openStores(options: { readonly configFile?: string | undefined }): Promise<CliStores>
  /** Opens this process to a debugger and waits until one has come. */
  inspect?(): Promise<void>
  /** Asks whoever sits at the terminal; '' where they leave. Absent where nobody does. */
  readonly ask?: ((question: string, signal: AbortSignal) => Promise<string>) | undefined
  /** Calls `listener` at the first Ctrl-C, or when the process is asked to end; a second ends it at once. Until the function given back is called. */
  onInterrupt(listener: () => void): () => void
}

/** 0 done · 1 job failed · 2 bad usage · 130 interrupted. */
export type ExitCode = 0 | 1 | 2 | 130

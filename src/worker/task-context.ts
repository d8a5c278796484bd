/**
 * What a user's function receives as its last argument. Everything is made when it is asked for, so that a call that
 * asks for nothing pays nothing.
 */
import { format } from 'node:util'
import type { CloudObject } from '../core/cloud-object.ts'
import { callId } from '../core/ids.ts'
import type { CallSpec, JobHead } from '../job/messages.ts'
import type { Storage } from '../storage/storage.ts'

/** Writes to the call's log; the driver shows it by log level and keeps it in `future.logs`. */
export interface Logger {
  debug(...values: unknown[]): void
  info(...values: unknown[]): void
  warn(...values: unknown[]): void
  error(...values: unknown[]): void
}

export interface TaskContext {
  readonly executorId: string
  readonly jobId: string
  readonly callId: string
  /** Place of the call in its job. */
  readonly index: number
  /** 1 for the first try. */
  readonly attempt: number
  /** The executor's storage. */
  readonly storage: Storage
  /** Aborts when the call is cancelled or its time is up. */
  readonly signal: AbortSignal
  /** In a reducer per object: that object. */
  readonly object?: CloudObject | undefined
  /** In a reducer: calls whose failure was tolerated; their results are absent. */
  readonly failedInputs: readonly string[]
  readonly log: Logger
}

/** What the context draws on. */
export interface TaskSources {
  readonly head: JobHead
  readonly spec: CallSpec
  readonly failedInputs: readonly string[]
  signal(): AbortSignal
  openStorage(): Storage
  log(text: string, stream: 'stdout' | 'stderr'): void
}

export class CallTask implements TaskContext {
  readonly #sources: TaskSources
  #storage: Storage | undefined

  constructor(sources: TaskSources) {
    this.#sources = sources
  }

  get executorId(): string {
    return this.#sources.head.executorId
  }

  get jobId(): string {
    return this.#sources.head.jobId
  }

  get callId(): string {
    return callId(this.#sources.spec.call)
  }

  get index(): number {
    return this.#sources.spec.call
  }

  get attempt(): number {
    return this.#sources.spec.attempt
  }

  get storage(): Storage {
    this.#storage ??= this.#sources.openStorage()
    return this.#storage
  }

  get signal(): AbortSignal {
    return this.#sources.signal()
  }

  get object(): CloudObject | undefined {
    const { input } = this.#sources.spec
    return input.type === 'results' ? input.object : undefined
  }

  get failedInputs(): readonly string[] {
    return this.#sources.failedInputs
  }

  get log(): Logger {
    const { log } = this.#sources
    const line =
      (level: string, stream: 'stdout' | 'stderr') =>
      (...values: unknown[]) =>
        log(`${level}${format(...values)}\n`, stream)
    return {
      debug: line('debug: ', 'stdout'),
      info: line('', 'stdout'),
      warn: line('warning: ', 'stderr'),
      error: line('error: ', 'stderr'),
    }
  }
}

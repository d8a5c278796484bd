/**
 * The errors of quern: one root with a stable `code`. Branch on `code`: `instanceof` does not survive a worker
 * boundary of another version, nor two copies of the package.
 */
export type ErrorCode =
  | 'CONFIG'
  | 'VALIDATION'
  | 'NOT_FOUND'
  | 'OBJECT_CHANGED'
  | 'COVERAGE'
  | 'SERIALIZATION'
  | 'CALL'
  | 'JOB'
  | 'TIMEOUT'
  | 'CANCELLED'
  | 'INVALID_STATE'
  | 'REJECTED_SUBMISSION'
  | 'BROKEN_EXECUTOR'
  | 'TERMINATED_WORKER'
  | 'OUT_OF_MEMORY'
  | 'SHUTDOWN_EXECUTOR'
  | 'FENCED'
  | 'RECURSION'
  | StorageErrorCode

/** What went wrong in a store. `THROTTLED`, `UNAVAILABLE` and `BODY_TRUNCATED` may pass when the request is sent again. */
export type StorageErrorCode =
  | 'STORAGE'
  | 'ALREADY_EXISTS'
  | 'PRECONDITION_FAILED'
  | 'PERMISSION_DENIED'
  | 'RANGE_INVALID'
  | 'UNSUPPORTED'
  | 'THROTTLED'
  | 'UNAVAILABLE'
  | 'BODY_TRUNCATED'

const TRANSIENT: ReadonlySet<string> = new Set(['THROTTLED', 'UNAVAILABLE', 'BODY_TRUNCATED'])

export class QuernError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** Whether the same request is worth sending again. */
export function isTransient(error: unknown): boolean {
  return error instanceof QuernError && TRANSIENT.has(error.code)
}

/** The configuration as a whole cannot work: a missing section, a backend that is not installed, storage out of reach. */
export class ConfigError extends QuernError {
  constructor(message: string, options?: ErrorOptions) {
    super('CONFIG', message, options)
  }
}

/** A value given by the user is not what the option takes; the message names the option, the value, the expected form. */
export class ValidationError extends QuernError {
  constructor(message: string, options?: ErrorOptions) {
    super('VALIDATION', message, options)
  }
}

export interface StorageContext {
  readonly backend: string
  readonly operation: string
  readonly bucket?: string
  readonly key?: string
  /** HTTP status, where there was one. */
  readonly status?: number
  /** How long the store asked to be left alone, where it said so (Retry-After). */
  readonly retryAfterMs?: number
  readonly cause?: unknown
}

/** A store refused or failed. Message: operation, object, what came. */
export class StorageError extends QuernError {
  readonly backend: string
  readonly operation: string
  readonly bucket: string | undefined
  readonly key: string | undefined
  readonly status: number | undefined
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, what: string, context: StorageContext) {
    super(
      code,
      `${context.operation} ${place(context)}: ${what}`,
      context.cause === undefined ? undefined : { cause: context.cause },
    )
    this.backend = context.backend
    this.operation = context.operation
    this.bucket = context.bucket
    this.key = context.key
    this.status = context.status
    this.retryAfterMs = context.retryAfterMs
  }
}

/** No such key, bucket or file. */
export class NotFoundError extends StorageError {
  constructor(what: string, context: StorageContext) {
    super('NOT_FOUND', what, context)
  }
}

/** The object is not the version that was planned: it was overwritten, or its file was touched, under a running job. */
export class ObjectChangedError extends StorageError {
  constructor(what: string, context: StorageContext) {
    super('OBJECT_CHANGED', what, context)
  }
}

/** The delivered spans of an object do not tile it. The job's result is not to be trusted. */
export class CoverageError extends QuernError {
  constructor(message: string, options?: ErrorOptions) {
    super('COVERAGE', message, options)
  }
}

/** A function or a value cannot travel. */
export class SerializationError extends QuernError {
  constructor(message: string, options?: ErrorOptions) {
    super('SERIALIZATION', message, options)
  }
}

/** A call failed; `cause` is what the user's function threw. */
export class CallError extends QuernError {
  readonly callId: string

  constructor(message: string, callId: string, options?: ErrorOptions) {
    super('CALL', message, options)
    this.callId = callId
  }
}

/** Some calls of a job failed: `errors` in call order, and how many calls there were. */
export class JobError extends QuernError {
  readonly jobId: string
  readonly errors: readonly Error[]
  readonly failedCalls: readonly string[]
  readonly callCount: number

  constructor(
    message: string,
    details: { jobId: string; errors: readonly Error[]; failedCalls: readonly string[]; callCount: number },
  ) {
    super('JOB', message, { cause: details.errors[0] })
    this.jobId = details.jobId
    this.errors = details.errors
    this.failedCalls = details.failedCalls
    this.callCount = details.callCount
  }
}

/** Time ran out. From a wait it carries what is done and what is not, and nothing is destroyed. */
export class TimeoutError extends QuernError {
  readonly done: readonly unknown[]
  readonly notDone: readonly unknown[]

  constructor(
    message: string,
    parts: { done?: readonly unknown[]; notDone?: readonly unknown[]; cause?: unknown } = {},
  ) {
    super('TIMEOUT', message, parts.cause === undefined ? undefined : { cause: parts.cause })
    this.done = parts.done ?? []
    this.notDone = parts.notDone ?? []
  }
}

export class CancelledError extends QuernError {
  constructor(message: string, options?: ErrorOptions) {
    super('CANCELLED', message, options)
  }
}

/** A future was settled twice, or told to run when it was not pending. */
export class InvalidStateError extends QuernError {
  constructor(message: string, options?: ErrorOptions) {
    super('INVALID_STATE', message, options)
  }
}

export class RejectedSubmission extends QuernError {
  constructor(message: string, options?: ErrorOptions) {
    super('REJECTED_SUBMISSION', message, options)
  }
}

/** The executor can run nothing more: its workers cannot be started. */
export class BrokenExecutorError extends QuernError {
  constructor(message: string, options?: ErrorOptions & { code?: ErrorCode }) {
    super(options?.code ?? 'BROKEN_EXECUTOR', message, options)
  }
}

export interface WorkerDeath {
  readonly exitCode?: number
  readonly signal?: string
  /** The last lines the worker wrote to its standard error by itself. */
  readonly stderrTail?: string
}

/** What a worker's process does, by the system. */
export interface WorkerActivity {
  /** Linux's letter: R runs, S sleeps, D waits for a device, T is stopped by a signal, … */
  readonly state: string
  /** The processor time of all its threads within the last `overMs`; both absent where it was not looked at before. */
  readonly cpuMs?: number
  readonly overMs?: number
}

/** A worker ended while it ran a call: exit code, signal and the tail of its standard error say how. */
export class TerminatedWorkerError extends BrokenExecutorError {
  readonly exitCode: number | undefined
  readonly signal: string | undefined
  readonly stderrTail: string

  constructor(message: string, death: WorkerDeath = {}, code: ErrorCode = 'TERMINATED_WORKER') {
    super(message, { code })
    this.exitCode = death.exitCode
    this.signal = death.signal
    this.stderrTail = death.stderrTail ?? ''
  }
}

/**
 * A worker ran out of memory: `limitMiB` is what it was given, where a limit was set, `heldMiB` what it held beyond what it
 * held when it was ready, where that was measured.
 */
export class OutOfMemoryError extends TerminatedWorkerError {
  readonly limitMiB: number | undefined
  readonly heldMiB: number | undefined

  constructor(
    message: string,
    death: WorkerDeath & { limitMiB?: number | undefined; heldMiB?: number | undefined } = {},
  ) {
    super(message, death, 'OUT_OF_MEMORY')
    this.limitMiB = death.limitMiB
    this.heldMiB = death.heldMiB
  }
}

/** The executor was shut down: nothing more is accepted, or what ran was ended by it. */
export class ShutdownExecutorError extends QuernError {
  constructor(message: string, options?: ErrorOptions) {
    super('SHUTDOWN_EXECUTOR', message, options)
  }
}

/** The job was taken over by another driver (a resume elsewhere): this one stopped, and what it did counts no more than before. */
export class FencedError extends QuernError {
  constructor(message: string, options?: ErrorOptions) {
    super('FENCED', message, options)
  }
}

/** Workers would be nested too deep: each would start workers of its own. */
export class RecursionError extends QuernError {
  constructor(message: string, options?: ErrorOptions) {
    super('RECURSION', message, options)
  }
}

function place({ backend, bucket, key }: StorageContext): string {
  if (bucket === undefined) return backend
  // the user's own files have one bucket, the root
  if (backend === 'file') return `${bucket}${key ?? ''}`
  return key === undefined ? `${backend}://${bucket}` : `${backend}://${bucket}/${key}`
}

/** The message of what was thrown, whatever that is. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** Whether a conditional put was refused: something is there already, or another version than was named. */
export function isRefusal(error: unknown): boolean {
  return error instanceof QuernError && (error.code === 'ALREADY_EXISTS' || error.code === 'PRECONDITION_FAILED')
}

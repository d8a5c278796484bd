/** How failures look and which exit code they are. */
import { inspect } from 'node:util'
import { type JobError, QuernError, StorageError } from '../core/errors.ts'
import type { CliContext, ExitCode } from './context.ts'

const BAD_USAGE: ReadonlySet<string> = new Set(['VALIDATION', 'CONFIG', 'SERIALIZATION'])
const SHOWN_ERRORS = 5

/** The command line itself asks for something impossible. */
export class UsageError extends QuernError {
  constructor(message: string, options?: ErrorOptions) {
    super('VALIDATION', message, options)
  }
}

export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof QuernError && BAD_USAGE.has(error.code) ? 2 : 1
}

/** Writes the error to stderr: a line per cause, or one JSON object with `--json`. */
export function reportFailure(context: CliContext, error: unknown, json: boolean): void {
  const text = json ? JSON.stringify({ error: asData(error) }) : describe(error)
  context.stderr.write(`${text}\n`)
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return `error: ${inspect(error)}`
  const lines = [`error: ${error.message}`]
  if (isJobError(error)) {
    error.errors.slice(0, SHOWN_ERRORS).forEach((each, i) => {
      lines.push(`  call ${error.failedCalls[i]}: ${each.message}`, ...causeLines(each, 2))
    })
    const more = error.errors.length - SHOWN_ERRORS
    if (more > 0) lines.push(`  and ${more} more`)
  } else lines.push(...causeLines(error, 1))
  return lines.join('\n')
}

function isJobError(error: Error): error is JobError {
  return error instanceof QuernError && error.code === 'JOB'
}

function causeLines(error: Error, depth: number): string[] {
  // a store's error says all that its cause does, but for the inside of a client
  if (!(error.cause instanceof Error) || error instanceof StorageError) return []
  const stack = (error.cause.stack ?? error.cause.message).split('\n').slice(0, 6)
  return stack.map((line) => `${'  '.repeat(depth)}${line}`)
}

/** An error as plain data, for `--json`. */
export function asData(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) }
  const { name, message } = error
  const code = error instanceof QuernError ? { code: error.code } : {}
  const calls = isJobError(error)
    ? {
        jobId: error.jobId,
        callCount: error.callCount,
        failedCalls: error.failedCalls,
        errors: error.errors.map(asData),
      }
    : {}
  const cause = error.cause instanceof Error && !isJobError(error) ? { cause: asData(error.cause) } : {}
  return { name, message, ...code, ...calls, ...cause }
}

/**
 * The one place where refusals of Google Cloud Storage, and errors of its library, become ours. Invariant: nothing of
 * the credentials gets through; the library's errors carry the request with its token, so the cause is a copy of what
 * tells a failure, and nothing else.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { NotFoundError, ObjectChangedError, type StorageContext, StorageError } from '../core/errors.ts'
import { retryAfter } from './retry-after.ts'

/** What was asked for; decides what a failed precondition means. */
export type GcsCondition = 'ifMatch' | 'putIfAbsent' | 'putIfMatch'

interface ForeignError extends Error {
  /** An HTTP status, or what the network said. */
  readonly code?: number | string
  readonly response?: { readonly headers?: Readonly<Record<string, unknown>> }
}

/** Of an answer with an error status, and the text of its body. */
export function refusedWith(status: number, headers: IncomingHttpHeaders, body: string): Error {
  const message = /"message"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(body)?.[1] ?? body.slice(0, 200).trim()
  return Object.assign(new Error(message || 'no reason given'), { code: status, response: { headers } })
}

/** `signal` aborted: its reason. Ours already: itself. Else a StorageError with the foreign one as `cause`. */
export function gcsError(
  error: unknown,
  context: StorageContext,
  options: { readonly condition?: GcsCondition | undefined; readonly signal?: AbortSignal | undefined } = {},
): unknown {
  if (options.signal?.aborted) return options.signal.reason
  if (error instanceof StorageError || !(error instanceof Error)) return error
  const { name, message, stack, code, response } = error as ForeignError
  const cause = Object.assign(new Error(message), { name, stack }, code === undefined ? {} : { code })
  const status = /^\d{3}$/.test(`${code}`) ? Number(code) : undefined
  const asked = retryAfter(response?.headers?.['retry-after'])
  const place = { ...context, cause, ...asked, ...(status === undefined ? {} : { status }) }
  // a refusal by the service that gives tokens, whatever its status
  if (/default credentials|invalid_grant|invalid_client|unauthorized_client|invalid_rapt/.test(message)) {
    return new StorageError('PERMISSION_DENIED', message, place)
  }
  if (status === undefined) return new StorageError(isNetwork(code) ? 'UNAVAILABLE' : 'STORAGE', message, place)
  return refusal(status, `HTTP ${status}: ${message}`, place, options.condition)
}

function refusal(
  status: number,
  what: string,
  context: StorageContext,
  condition: GcsCondition | undefined,
): StorageError {
  if (status === 404) return new NotFoundError(what, context)
  if (status === 412 && condition === 'ifMatch') {
    return new ObjectChangedError('its generation is not the one asked for', context)
  }
  if (status === 412 && condition === 'putIfAbsent') {
    return new StorageError('ALREADY_EXISTS', 'the key is there already', context)
  }
  // 409: a bucket that is not empty
  if (status === 412 || status === 409) return new StorageError('PRECONDITION_FAILED', what, context)
  if (status === 401 || status === 403) return new StorageError('PERMISSION_DENIED', what, context)
  if (status === 416) return new StorageError('RANGE_INVALID', what, context)
  if (status === 429) return new StorageError('THROTTLED', what, context)
  if (status === 501) return new StorageError('UNSUPPORTED', what, context)
  if (status === 408 || status >= 500) return new StorageError('UNAVAILABLE', what, context)
  return new StorageError('STORAGE', what, context)
}

function isNetwork(code: number | string | undefined): boolean {
  return typeof code === 'string' && /^(?:E[A-Z_]+|UND_ERR_.*)$/.test(code)
}

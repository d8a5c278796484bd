/**
 * The one place where errors of the AWS SDK become ours, and where the refusals of S3 servers get their meaning.
 *
 * Invariant: nothing of the credentials gets through. The SDK's errors carry the signed request, and S3 answers a bad
 * signature with it (a session token in it); so the cause is a copy of what tells a failure, and nothing else.
 */
import { NotFoundError, ObjectChangedError, type StorageContext, StorageError } from '../core/errors.ts'
import { retryAfter } from './retry-after.ts'

/** What was asked for; decides what a failed precondition means. */
export type S3Condition = 'ifMatch' | 'putIfAbsent' | 'putIfMatch'

const THROTTLING = new Set(['SlowDown', 'Throttling', 'ThrottlingException', 'RequestLimitExceeded', 'TooManyRequests'])

export interface ForeignError extends Error {
  readonly Code?: string
  readonly code?: string
  readonly syscall?: string
  readonly $metadata?: { readonly httpStatusCode?: number }
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> }
}

/** `signal` aborted: its reason. Ours already: itself. Else a StorageError with the foreign one as `cause`. */
export function s3Error(
  error: unknown,
  context: StorageContext,
  options: { readonly condition?: S3Condition | undefined; readonly signal?: AbortSignal | undefined } = {},
): unknown {
  if (options.signal?.aborted) return options.signal.reason
  if (error instanceof StorageError || !(error instanceof Error)) return error
  const foreign = error as ForeignError
  const status = foreign.$metadata?.httpStatusCode
  const name = foreign.Code ?? foreign.name
  const asked = retryAfter(foreign.$response?.headers?.['retry-after'])
  const place = { ...context, cause: tellingPart(foreign), ...asked, ...(status === undefined ? {} : { status }) }
  const what = foreign.message === '' || foreign.message === name ? name : `${name}: ${foreign.message}`
  if (status === undefined || status < 400) return transportError(foreign, what, place)
  // the SDK corrects its clock by such an answer, so the next try may be right
  if (name === 'RequestTimeTooSkewed') return new StorageError('UNAVAILABLE', what, place)
  return s3Refusal(status, name, what, place, options.condition)
}

function tellingPart({ name, message, stack, Code, code, $metadata }: ForeignError): Error {
  const copy = Object.assign(new Error(message), { name, stack })
  if (Code !== undefined) Object.assign(copy, { Code })
  if (code !== undefined) Object.assign(copy, { code })
  return $metadata === undefined ? copy : Object.assign(copy, { $metadata })
}

/** The error of an answer that was read as text: XML with S3's code, or nothing of use. */
export function refusalOf(
  status: number,
  retryAfterHeader: string | undefined,
  xml: string,
  context: StorageContext,
  condition: S3Condition | undefined,
): StorageError {
  const code = inTag('Code', xml)
  const message = inTag('Message', xml)
  const cause = Object.assign(new Error(message ?? `HTTP ${status}`), { name: code ?? 'Error' })
  const place = { ...context, cause, status, ...retryAfter(retryAfterHeader) }
  return s3Refusal(status, code ?? '', [code ?? `HTTP ${status}`, message].filter(Boolean).join(': '), place, condition)
}

/** The text between the first such tags. */
export function inTag(tag: string, xml: string): string | undefined {
  return new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(xml)?.[1]
}

/** What an answer with an error status means: `name` is S3's code, `condition` what the request asked for. */
export function s3Refusal(
  status: number,
  name: string,
  what: string,
  context: StorageContext,
  condition: S3Condition | undefined,
): StorageError {
  if (status === 404) {
    if (condition === 'putIfMatch' && name !== 'NoSuchBucket') return failedCondition(condition, what, context)
    return new NotFoundError(name === 'NotFound' ? 'no such key or bucket' : what, context)
  }
  if (status === 412) return failedCondition(condition, what, context)
  if (status === 409 && name === 'ConditionalRequestConflict') return new StorageError('UNAVAILABLE', what, context)
  if (status === 409 && name === 'BucketNotEmpty') return new StorageError('PRECONDITION_FAILED', what, context)
  if (status === 401 || status === 403) return new StorageError('PERMISSION_DENIED', what, context)
  if (status === 416) return new StorageError('RANGE_INVALID', what, context)
  if (status === 501) return new StorageError('UNSUPPORTED', what, context)
  if (status === 429 || THROTTLING.has(name)) return new StorageError('THROTTLED', what, context)
  if (status === 408 || status >= 500 || name === 'RequestTimeout')
    return new StorageError('UNAVAILABLE', what, context)
  return new StorageError('STORAGE', what, context)
}

function failedCondition(condition: S3Condition | undefined, what: string, context: StorageContext): StorageError {
  if (condition === 'ifMatch') return new ObjectChangedError('its etag is not the one asked for', context)
  if (condition === 'putIfAbsent') return new StorageError('ALREADY_EXISTS', 'the key is there already', context)
  return new StorageError('PRECONDITION_FAILED', what, context)
}

/** No answer came: the network, a timeout, or no credentials to ask with. */
export function transportError(error: ForeignError, what: string, context: StorageContext): StorageError {
  if (error.name === 'CredentialsProviderError') return new StorageError('PERMISSION_DENIED', what, context)
  const network = error.syscall !== undefined || /^E[A-Z_]+$/.test(error.code ?? '')
  const passing = network || error.name === 'TimeoutError' || error.name === 'AbortError'
  return new StorageError(passing ? 'UNAVAILABLE' : 'STORAGE', what, context)
}

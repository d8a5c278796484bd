/**
 * The one place where errors of the minio client become ours. Invariant: nothing of the credentials gets through; the
 * client copies every field of a refusal onto its error, a signature's among them, so the cause is a copy of what tells
 * a failure, and nothing else.
 */
import { type StorageContext, StorageError } from '../core/errors.ts'
import { retryAfter } from './retry-after.ts'
import { inTag, type S3Condition, s3Refusal, transportError } from './s3-errors.ts'

/** One operation as its transport saw it: status and Retry-After of its last answer, its body where the client drops it. */
export interface Exchange {
  readonly signal: AbortSignal | undefined
  status: number | undefined
  retryAfter: string | undefined
  refusal: Promise<string> | undefined
}

/** `signal` aborted: its reason. Ours already: itself. Else a StorageError with the foreign one as `cause`. */
export async function minioError(
  error: unknown,
  context: StorageContext,
  exchange: Exchange,
  condition: S3Condition | undefined,
): Promise<unknown> {
  const { signal, status } = exchange
  if (signal?.aborted) return signal.reason
  if (error instanceof StorageError) return error
  const foreign = asError(error)
  if (foreign === undefined) return error
  const refusal = (await exchange.refusal) ?? ''
  const { name, stack, code = inTag('Code', refusal) } = foreign
  const message = inTag('Message', refusal) ?? foreign.message
  const cause = Object.assign(new Error(message), { name, stack }, code === undefined ? {} : { code })
  const asked = retryAfter(exchange.retryAfter)
  const place = { ...context, cause, ...asked, ...(status === undefined ? {} : { status }) }
  const what = [code ?? (status === undefined ? name : `HTTP ${status}`), message].filter(Boolean).join(': ')
  if (status !== undefined && status >= 400) return s3Refusal(status, code ?? '', what, place, condition)
  // joining parts may fail after the status of success was sent
  if (status === 200 && name === 'S3Error') return new StorageError('UNAVAILABLE', what, place)
  if (status !== undefined && status >= 300) return new StorageError('STORAGE', what, place)
  return transportError(foreign, what, place)
}

/** The client throws refusals under a status of success as the parsed answer itself. */
function asError(thrown: unknown): NodeJS.ErrnoException | undefined {
  if (thrown instanceof Error) return thrown
  const { Code, Message } = Object(thrown) as { readonly Code?: unknown; readonly Message?: unknown }
  if (typeof Code !== 'string') return undefined
  return Object.assign(new Error(`${Message ?? ''}`), { name: 'S3Error', code: Code })
}

/**
 * Objects behind http(s) URLs, read only: bucket `https://host`, key path and query as they stand in the URL.
 *
 * Invariant: a read that is pinned compares the validator of its own answer, since many servers ignore If-Match and
 * weak validators cannot be sent. What a server cannot do (ranges, lengths, validators) is told by `head`. A body that is
 * encoded in transit is refused.
 */
import type { IncomingMessage } from 'node:http'
import { ObjectChangedError, type StorageContext, StorageError } from '../core/errors.ts'
import type { GetOptions, ObjectHead, ObjectReading, Reach, StorageBackend, StorageCapabilities } from './backend.ts'
import { encodingOf, exactBody } from './http-body.ts'
import { HttpTransport } from './http-transport.ts'
import { assertRange, clipRange, httpRange, parseContentRange } from './ranges.ts'

/** Statuses of servers that know no HEAD. */
const NO_HEAD = new Set([403, 405, 501])

/** Anonymous reads of URLs; every other operation is UNSUPPORTED. */
export class HttpBackend implements StorageBackend {
  readonly name = 'http'
  readonly reach: Reach = 'network'
  readonly capabilities: StorageCapabilities = { writable: false, conditionalPut: false, pin: 'etag', anyKey: false }
  readonly #transport = new HttpTransport()

  async get(bucket: string, key: string, options: GetOptions = {}): Promise<ObjectReading> {
    const { range, ifMatch, signal } = options
    const context = contextOf('get', bucket, key)
    assertRange(range, context)
    const headers: Record<string, string> = {}
    if (range !== undefined) headers.range = httpRange(range)
    if (ifMatch?.startsWith('"')) headers['if-match'] = ifMatch
    const response = await this.#transport.request('GET', urlOf(bucket, key, context), headers, context, signal)
    try {
      refuseEncoded(response, context)
      const head = headOf(key, response)
      if (ifMatch !== undefined && ifMatch !== head.etag) {
        throw new ObjectChangedError(`its validator is ${head.etag || 'none'}, not ${ifMatch}`, context)
      }
      const given = givenRange(response, head, range, context)
      const length = Number.isFinite(given.end) ? given.end - given.start : undefined
      return { head, range: given, body: exactBody(response, length, context, signal) }
    } catch (error) {
      response.destroy()
      throw error
    }
  }

  async head(bucket: string, key: string, options: { signal?: AbortSignal | undefined } = {}): Promise<ObjectHead> {
    const context = contextOf('head', bucket, key)
    const url = urlOf(bucket, key, context)
    let head: ObjectHead | undefined
    try {
      const response = await this.#transport.request('HEAD', url, {}, context, options.signal)
      response.resume()
      refuseEncoded(response, context)
      head = headOf(key, response)
    } catch (error) {
      if (!(error instanceof StorageError) || !NO_HEAD.has(error.status ?? 0)) throw error
    }
    // a length is often left out of answers to HEAD, and support of ranges out of both
    if (head !== undefined && head.sizeUnknown !== true && head.acceptsRanges !== undefined) return head
    return (await this.#probe(key, url, context, options.signal)) ?? (head as ObjectHead)
  }

  /** Asks for the first byte, which shows size and ranges; undefined for an empty object, where HEAD said all. */
  async #probe(
    key: string,
    url: URL,
    context: StorageContext,
    signal: AbortSignal | undefined,
  ): Promise<ObjectHead | undefined> {
    try {
      const response = await this.#transport.request('GET', url, { range: 'bytes=0-0' }, context, signal)
      const head = headOf(key, response)
      response.destroy()
      return { ...head, acceptsRanges: response.statusCode === 206 }
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== 'RANGE_INVALID') throw error
      const response = await this.#transport.request('GET', url, {}, context, signal)
      response.destroy()
      return { ...headOf(key, response), acceptsRanges: true }
    }
  }

  put(bucket: string, key: string): Promise<ObjectHead> {
    return Promise.reject(readOnly('put', bucket, key))
  }

  list(bucket: string): AsyncIterable<readonly ObjectHead[]> {
    const refuse = () => Promise.reject(readOnly('list', bucket))
    return { [Symbol.asyncIterator]: () => ({ next: refuse }) }
  }

  delete(bucket: string): Promise<void> {
    return Promise.reject(readOnly('delete', bucket))
  }

  headBucket(bucket: string): Promise<void> {
    return Promise.reject(readOnly('headBucket', bucket))
  }

  createBucket(bucket: string): Promise<void> {
    return Promise.reject(readOnly('createBucket', bucket))
  }

  deleteBucket(bucket: string): Promise<void> {
    return Promise.reject(readOnly('deleteBucket', bucket))
  }

  async close(): Promise<void> {
    this.#transport.close()
  }
}

function givenRange(
  response: IncomingMessage,
  head: ObjectHead,
  asked: GetOptions['range'],
  context: StorageContext,
): { start: number; end: number } {
  if (asked === undefined)
    return head.sizeUnknown ? { start: 0, end: Number.POSITIVE_INFINITY } : { start: 0, end: head.size }
  const part = response.statusCode === 206 ? parseContentRange(response.headers['content-range']) : undefined
  if (part?.range.start === asked.start && part.range.end <= asked.end) return part.range
  // the whole answers a request for the whole
  if (response.statusCode === 200 && !head.sizeUnknown && asked.start === 0 && asked.end >= head.size) {
    return clipRange(asked, head.size, context)
  }
  throw new StorageError('UNSUPPORTED', 'the server does not serve ranges', {
    ...context,
    status: response.statusCode ?? 0,
  })
}

/**
 * A body encoded on its way is not the object: its length and its ranges are those of something else.
 * @throws StorageError UNSUPPORTED
 */
function refuseEncoded(response: IncomingMessage, context: StorageContext): void {
  const encoding = encodingOf(response.headers['content-encoding'])
  if (encoding === undefined) return
  const what = `the server sends the object encoded (Content-Encoding: ${encoding}) though it was asked for as it is`
  throw new StorageError('UNSUPPORTED', what, context)
}

function headOf(key: string, response: IncomingMessage): ObjectHead {
  const { headers } = response
  const whole = response.statusCode === 206 ? parseContentRange(headers['content-range'])?.sizeBytes : undefined
  const length = whole ?? (response.statusCode === 206 ? undefined : lengthOf(headers['content-length']))
  const modified = headers['last-modified']
  const modifiedMs = modified === undefined ? Number.NaN : Date.parse(modified)
  const acceptsRanges = acceptedRanges(response)
  return {
    key,
    size: length ?? 0,
    etag: headers.etag ?? (modified === undefined ? '' : `modified:${modified}`),
    ...(length === undefined ? { sizeUnknown: true as const } : {}),
    ...(acceptsRanges === undefined ? {} : { acceptsRanges }),
    ...(Number.isNaN(modifiedMs) ? {} : { lastModified: modifiedMs }),
    ...(headers['content-type'] === undefined ? {} : { contentType: headers['content-type'] }),
  }
}

function acceptedRanges(response: IncomingMessage): boolean | undefined {
  if (response.statusCode === 206) return true
  const units = response.headers['accept-ranges']
  return units === undefined ? undefined : units.toLowerCase().includes('bytes')
}

function lengthOf(value: string | undefined): number | undefined {
  return value !== undefined && /^\d+$/.test(value) ? Number(value) : undefined
}

function urlOf(bucket: string, key: string, context: StorageContext): URL {
  const url = URL.canParse(`${bucket}/${key}`) ? new URL(`${bucket}/${key}`) : undefined
  const web = url?.protocol === 'http:' || url?.protocol === 'https:'
  // said without the URL: it may hold a password
  if (url === undefined || !web || url.username !== '' || url.password !== '') {
    const place = { backend: context.backend, operation: context.operation }
    throw new StorageError('UNSUPPORTED', 'expected an http(s) URL without user and password', place)
  }
  return url
}

function contextOf(operation: string, bucket: string, key?: string): StorageContext {
  return { backend: 'http', operation, bucket, ...(key === undefined ? {} : { key }) }
}

function readOnly(operation: string, bucket: string, key?: string): StorageError {
  return new StorageError('UNSUPPORTED', 'http is read only: get and head', contextOf(operation, bucket, key))
}

/**
 * Google Cloud Storage: the contract in requests of its JSON API. An object's generation is its etag and its pin: a read
 * or a put under `ifMatch` carries it as a precondition, and a read compares the generation of its own answer too.
 */
import type { IncomingMessage } from 'node:http'
import { compareUtf8 } from '../core/bytes.ts'
import { mapConcurrent } from '../core/concurrency.ts'
import { NotFoundError, ObjectChangedError, type StorageContext, StorageError } from '../core/errors.ts'
import type {
  GetOptions,
  ListOptions,
  ObjectHead,
  ObjectReading,
  PutOptions,
  Reach,
  StorageBackend,
  StorageCapabilities,
} from './backend.ts'
import { type GcsClient, type GcsConfig, openGcsClient } from './gcs-client.ts'
import { headOfMedia, headOfResource, type ObjectResource, RESOURCE_FIELDS } from './gcs-head.ts'
import { putGcsObject } from './gcs-put.ts'
import { encodingOf, exactBody } from './http-body.ts'
import { CONDITIONAL_STREAM_BYTES } from './parts.ts'
import { assertRange, clipRange, httpRange, parseContentRange } from './ranges.ts'
import { assertKeyOrder } from './s3-keys.ts'

type Signal = AbortSignal | undefined

const PAGE_KEYS = 1_000
/** `.` and `..` would also be lost from the URL, and name something else. */
const REFUSED = /^\.\.?$|[\r\n]/
const DELETES_IN_FLIGHT = 32

/** The backend `gcp_storage`. @throws ConfigError when @google-cloud/storage is not installed */
export async function createGcsBackend(config: GcsConfig): Promise<StorageBackend> {
  return new GcsBackend(await openGcsClient(config), config.region)
}

class GcsBackend implements StorageBackend {
  readonly name = 'gcp_storage'
  readonly reach: Reach = 'network'
  readonly capabilities: StorageCapabilities = {
    writable: true,
    conditionalPut: true,
    conditionalStreamBytes: CONDITIONAL_STREAM_BYTES,
    pin: 'generation',
    anyKey: true,
    refusedKeys: REFUSED,
  }
  readonly #client: GcsClient
  readonly #region: string | undefined

  constructor(client: GcsClient, region: string | undefined) {
    this.#client = client
    this.#region = region
  }

  async get(bucket: string, key: string, options: GetOptions = {}): Promise<ObjectReading> {
    const { range, ifMatch, signal } = options
    const context = contextOf('get', bucket, key)
    assertRange(range, context)
    if (isReserved(key)) throw new NotFoundError('no object can have this name', context)
    const url = this.#client.mediaUrl(bucket, key)
    if (ifMatch !== undefined && /^\d+$/.test(ifMatch)) url.searchParams.set('ifGenerationMatch', ifMatch)
    const headers: Record<string, string> = {
      // what is stored compressed is to come as it is stored
      'accept-encoding': 'gzip',
      ...(range === undefined ? {} : { range: httpRange(range) }),
    }
    const request = {
      method: 'GET',
      url,
      headers,
      expected: [200, 206],
      condition: 'ifMatch',
      context,
      signal,
    } as const
    const response = await this.#client.send(request)
    try {
      const head = headOfMedia(key, response)
      if (ifMatch !== undefined && ifMatch !== head.etag) {
        throw new ObjectChangedError(`its generation is ${head.etag}, not ${ifMatch}`, context)
      }
      const given = givenRange(response, head, range, context)
      return { head, range: given, body: exactBody(response, given.end - given.start, context, signal) }
    } catch (error) {
      response.destroy()
      throw error
    }
  }

  async put(
    bucket: string,
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: PutOptions = {},
  ): Promise<ObjectHead> {
    const context = contextOf('put', bucket, key)
    if (isReserved(key)) throw new StorageError('UNSUPPORTED', 'this store holds no object of this name', context)
    return putGcsObject({ client: this.#client, bucket, key, context }, body, options)
  }

  async head(bucket: string, key: string, options: { signal?: Signal } = {}): Promise<ObjectHead> {
    const context = contextOf('head', bucket, key)
    if (isReserved(key)) throw new NotFoundError('no object can have this name', context)
    const [resource] = await this.#client.call(context, options, (storage) =>
      storage.bucket(bucket).file(key).getMetadata(),
    )
    return headOfResource(resource)
  }

  async *list(bucket: string, options: ListOptions = {}): AsyncGenerator<readonly ObjectHead[]> {
    const { prefix = '', startAfter, signal } = options
    const context = contextOf('list', bucket)
    let pageToken: string | undefined
    let last: string | undefined
    do {
      const qs = {
        maxResults: PAGE_KEYS,
        fields: `nextPageToken,items(${RESOURCE_FIELDS})`,
        ...(prefix === '' ? {} : { prefix }),
        ...(startAfter === undefined ? {} : { startOffset: startAfter }),
        ...(pageToken === undefined ? {} : { pageToken }),
      }
      const answer = await this.#client.call(context, { signal }, (storage) =>
        storage.bucket(bucket).request({ uri: '/o', qs }),
      )
      const { items = [], nextPageToken } = bodyOf(answer)
      // an offset is where a listing begins, not what it begins after, and emulators know none
      const after = ({ key }: ObjectHead) => startAfter === undefined || compareUtf8(startAfter, key) < 0
      const heads = items.map(headOfResource).filter(after)
      last = assertKeyOrder(last, heads, context)
      if (heads.length > 0) yield heads
      pageToken = nextPageToken
    } while (pageToken !== undefined)
  }

  async delete(bucket: string, keys: readonly string[], options: { signal?: Signal } = {}): Promise<void> {
    const held = keys.filter((key) => !isReserved(key))
    await mapConcurrent(held, DELETES_IN_FLIGHT, (key) =>
      this.#client.call(contextOf('delete', bucket, key), options, (storage) =>
        storage.bucket(bucket).file(key).delete({ ignoreNotFound: true }),
      ),
    )
  }

  async headBucket(bucket: string): Promise<void> {
    await this.#client.call(contextOf('headBucket', bucket), {}, (storage) => storage.bucket(bucket).getMetadata())
  }

  async createBucket(bucket: string): Promise<void> {
    const location = this.#region === undefined ? {} : { location: this.#region }
    try {
      await this.#client.call(contextOf('createBucket', bucket), {}, (storage) =>
        storage.createBucket(bucket, location),
      )
    } catch (error) {
      if (!(error instanceof StorageError) || error.status !== 409) throw error
      // there already: ours, or somebody else's
      await this.headBucket(bucket)
    }
  }

  async deleteBucket(bucket: string): Promise<void> {
    await this.#client.call(contextOf('deleteBucket', bucket), {}, (storage) => storage.bucket(bucket).delete())
  }

  async close(): Promise<void> {
    this.#client.close()
  }
}

/** Names the store refuses. */
function isReserved(key: string): boolean {
  return REFUSED.test(key)
}

function givenRange(
  response: IncomingMessage,
  head: ObjectHead,
  asked: GetOptions['range'],
  context: StorageContext,
): { start: number; end: number } {
  const encoding = encodingOf(response.headers['content-encoding'])
  if (encoding !== undefined && encoding !== head.contentEncoding) {
    throw new StorageError('UNSUPPORTED', `the server sent the object encoded as ${encoding}`, context)
  }
  const part = parseContentRange(response.headers['content-range'])?.range
  if (response.headers['content-length'] !== undefined && part?.start === asked?.start) {
    return part ?? { start: 0, end: head.size }
  }
  // the whole may answer a range that holds nothing
  if (part === undefined && asked !== undefined && asked.start >= head.size) return clipRange(asked, head.size, context)
  throw new StorageError('UNSUPPORTED', 'the server did not answer with the range that was asked for', context)
}

interface Listing {
  readonly items?: readonly ObjectResource[]
  readonly nextPageToken?: string
}

/** The library gives the body of an answer, and the answer beside it. */
function bodyOf(answer: unknown): Listing {
  return (Array.isArray(answer) ? answer[0] : answer) as Listing
}

function contextOf(operation: string, bucket: string, key?: string): StorageContext {
  return { backend: 'gcp_storage', operation, bucket, ...(key === undefined ? {} : { key }) }
}

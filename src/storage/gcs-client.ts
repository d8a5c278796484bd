/**
 * The library @google-cloud/storage, loaded at the first use. It knows where the store is (STORAGE_EMULATOR_HOST too),
 * as whom to ask (its own chain of credentials), and speaks for metadata, listings and buckets. Bytes of objects go over
 * our own sockets: the library's cannot be aborted, lose connections with a body that breaks, and undo encodings.
 *
 * Its retries are off: layers retry.
 */
import type { IncomingMessage } from 'node:http'
import type { Storage } from '@google-cloud/storage'
import { asBuffer, collectBytes } from '../core/bytes.ts'
import type { StorageContext } from '../core/errors.ts'
import { type GcsCondition, gcsError, refusedWith } from './gcs-errors.ts'
import { exactBody } from './http-body.ts'
import { HttpTransport } from './http-transport.ts'
import { loadPeer } from './peer.ts'

/** The section `gcp_storage` of the configuration. Without credentials the library's own chain is asked. */
export interface GcsConfig {
  readonly endpoint?: string | undefined
  /** Where buckets are made. */
  readonly region?: string | undefined
  /** Key file of a service account, or any other that the library reads. */
  readonly credentialsPath?: string | undefined
  /** Whose buckets are made; default: of the credentials. */
  readonly projectName?: string | undefined
}

export interface GcsRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** Statuses that are no error. */
  readonly expected: readonly number[]
  readonly context: StorageContext
  readonly condition?: GcsCondition | undefined
  readonly signal?: AbortSignal | undefined
}

type How = { readonly condition?: GcsCondition | undefined; readonly signal?: AbortSignal | undefined }

/** @throws ConfigError when @google-cloud/storage is not installed */
export async function openGcsClient(config: GcsConfig): Promise<GcsClient> {
  const { Storage } = await loadPeer('gcp_storage', '@google-cloud/storage', () => import('@google-cloud/storage'))
  const emulated = Boolean(process.env.STORAGE_EMULATOR_HOST)
  const endpoint = emulated ? undefined : config.endpoint
  const { credentialsPath, projectName } = config
  const authorized = !emulated && (endpoint === undefined || credentialsPath !== undefined)
  const storage = new Storage({
    retryOptions: { autoRetry: false, maxRetries: 0 },
    ...(endpoint === undefined ? {} : { apiEndpoint: endpoint, useAuthWithCustomEndpoint: authorized }),
    ...(credentialsPath === undefined ? {} : { keyFilename: credentialsPath }),
    // only the making of buckets needs one, and an emulator takes any
    ...(projectName === undefined && authorized ? {} : { projectId: projectName ?? 'none' }),
  })
  return new GcsClient(storage, authorized)
}

export class GcsClient {
  readonly storage: Storage
  readonly #authorized: boolean
  readonly #transport = new HttpTransport()

  constructor(storage: Storage, authorized: boolean) {
    this.storage = storage
    this.#authorized = authorized
  }

  /** Where the bytes of an object are read from. */
  mediaUrl(bucket: string, key: string): URL {
    const url = new URL(`${this.storage.baseUrl}/b/${encodeURIComponent(bucket)}/o/${encodeURIComponent(key)}`)
    url.searchParams.set('alt', 'media')
    return url
  }

  /** Where an object is written in one request. */
  uploadUrl(bucket: string, key: string): URL {
    const url = new URL(`${this.storage.apiEndpoint}/upload/storage/v1/b/${encodeURIComponent(bucket)}/o`)
    url.searchParams.set('uploadType', 'media')
    url.searchParams.set('name', key)
    return url
  }

  /** The answer, over our own sockets; its body is the caller's to read or destroy. @throws StorageError */
  async send(request: GcsRequest): Promise<IncomingMessage> {
    const { method, url, body, expected, context, condition, signal } = request
    signal?.throwIfAborted()
    try {
      const headers = { ...request.headers, ...(await this.#authorization(url)) }
      const sending = { headers, context, signal, ...(body === undefined ? {} : { body }) }
      const response = await this.#transport.send(method, url, sending)
      const status = response.statusCode ?? 0
      if (expected.includes(status)) return response
      throw refusedWith(status, response.headers, await textOf(response, context, signal))
    } catch (error) {
      throw gcsError(error, context, { condition, signal })
    }
  }

  /** What the library does, with its errors as ours; an abort is heard at once, though the request goes on unheard. */
  async call<T>(context: StorageContext, how: How, use: (storage: Storage) => Promise<T>): Promise<T> {
    const { signal } = how
    signal?.throwIfAborted()
    let abort = (): void => undefined
    const aborted = new Promise<never>((_, reject) => {
      abort = () => reject(signal?.reason)
    })
    signal?.addEventListener('abort', abort, { once: true })
    try {
      return await Promise.race([use(this.storage), aborted])
    } catch (error) {
      throw gcsError(error, context, how)
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  close(): void {
    this.#transport.close()
  }

  async #authorization(url: URL): Promise<Record<string, string>> {
    if (!this.#authorized) return {}
    const headers: Readonly<Record<string, string>> = await this.storage.authClient.getRequestHeaders(url.href)
    return { ...headers }
  }
}

/** The body of an answer that is read whole. */
export async function textOf(
  response: IncomingMessage,
  context: StorageContext,
  signal: AbortSignal | undefined,
): Promise<string> {
  return asBuffer(await collectBytes(exactBody(response, undefined, context, signal))).toString()
}

/** Public list of `quern/storage`; binds `Storage.open`. */
import { createBackends, openSections } from '../backends.ts'
import { loadConfig } from '../config/config.ts'
import { ValidationError } from '../core/errors.ts'
import { Storage as StorageFace } from '../storage/storage.ts'

export type { ByteRange } from '../core/bytes.ts'
export type { CloudObject } from '../core/cloud-object.ts'
export type { ObjectHead, StorageBackend, StorageCapabilities } from '../storage/backend.ts'

export { type HedgeLayer, withHedge } from '../storage/with-hedge.ts'
export { type LimitLayer, withLimit } from '../storage/with-limit.ts'
export { type RetryLayer, withRetry } from '../storage/with-retry.ts'

export interface OpenOptions {
  /** `aws_s3`, `minio`, `gcp_storage`, `localhost`, `memory`; default: the configured one. */
  readonly backend?: string
  readonly bucket?: string
  /** Settings of the backend's section: `endpoint`, `region`, … */
  readonly [setting: string]: unknown
}

export class Storage extends StorageFace {
  /**
   * A store by URL (`s3://bucket`, `minio://bucket`, `gs://bucket`, `localhost://bucket`, …) or by options; the rest comes from the
   * configuration. Nothing is connected before the first request.
   * @throws ValidationError, ConfigError
   */
  static open(target: string | URL | OpenOptions = {}): Storage {
    const { backend, bucket, ...settings } =
      typeof target === 'object' && !(target instanceof URL) ? target : fromUrl(`${target}`)
    const base = loadConfig()
    const name = backend ?? base.storage
    const given = Object.keys(settings).length > 0 || backend !== undefined
    const config = given ? loadConfig({ config: { quern: { storage: name }, [name]: settings } }) : base
    const sections = Object.keys(settings).length > 0 ? config.sections : base.sections
    const { resolve } = createBackends(openSections(sections))
    const defaultBucket = bucket ?? config.storageBucket ?? ''
    return new Storage({ backend: () => resolve(name), backendName: name, bucket: defaultBucket, resolve })
  }
}

const SCHEMES: Readonly<Record<string, string>> = {
  s3: 'aws_s3',
  minio: 'minio',
  gs: 'gcp_storage',
  localhost: 'localhost',
  memory: 'memory',
  file: 'file',
}

function fromUrl(url: string): OpenOptions {
  const match = /^([a-z0-9_]+):\/\/([^/]*)/i.exec(url)
  const backend = match === null ? undefined : SCHEMES[(match[1] as string).toLowerCase()]
  if (match === null || backend === undefined) {
    const known = Object.keys(SCHEMES).map((scheme) => `${scheme}://`)
    throw new ValidationError(`Storage.open: expected a URL that begins with one of ${known.join(', ')}, got '${url}'`)
  }
  return { backend, bucket: match[2] as string }
}

/** Layer: has every request counted for one call, by the metering layer beneath. Names no store and does no I/O. */
import type { RequestTally } from '../core/tally.ts'
import type { StorageBackend } from './backend.ts'
import { layered } from './layer.ts'

/** The same store; its requests carry `tally`. */
export function withTally(backend: StorageBackend, tally: RequestTally): StorageBackend {
  return layered(backend, {
    get: (bucket, key, options) => backend.get(bucket, key, { ...options, tally }),
    put: (bucket, key, body, options) => backend.put(bucket, key, body, { ...options, tally }),
    head: (bucket, key, options) => backend.head(bucket, key, { ...options, tally }),
    list: (bucket, options) => backend.list(bucket, { ...options, tally }),
    delete: (bucket, keys, options) => backend.delete(bucket, keys, { ...options, tally }),
  })
}

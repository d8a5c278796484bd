/** What every layer is: the store beneath it with some of its methods replaced. */
import { QuernError, StorageError } from '../core/errors.ts'
import type { GetOptions, StorageBackend } from './backend.ts'

export type LayerMethods = Partial<Omit<StorageBackend, 'name' | 'reach' | 'capabilities'>>

/** The store with these methods; what is not replaced goes through. */
export function layered(backend: StorageBackend, methods: LayerMethods): StorageBackend {
  return {
    name: backend.name,
    reach: backend.reach,
    capabilities: backend.capabilities,
    get: (...request) => backend.get(...request),
    put: (...request) => backend.put(...request),
    head: (...request) => backend.head(...request),
    list: (...request) => backend.list(...request),
    delete: (...request) => backend.delete(...request),
    headBucket: (...request) => backend.headBucket(...request),
    createBucket: (...request) => backend.createBucket(...request),
    deleteBucket: (...request) => backend.deleteBucket(...request),
    ...(backend.sweep === undefined ? {} : { sweep: backend.sweep.bind(backend) }),
    close: () => backend.close(),
    ...methods,
  }
}

export function isThrottled(error: unknown): error is StorageError {
  return error instanceof StorageError && error.code === 'THROTTLED'
}

/** Whether bytes of a read are those of one version however many requests bring them. */
export function isPinned(backend: StorageBackend, options: GetOptions | undefined): boolean {
  return backend.capabilities.pin !== 'none' && options?.ifMatch !== undefined && options.ifMatch !== ''
}

/** A range that reaches past the end of the object it is pinned to tells that the object has changed. */
export function isOutside(error: unknown): boolean {
  return error instanceof QuernError && error.code === 'RANGE_INVALID'
}

/** The store cannot do it at all: a server without ranges, asked for the rest of a body. */
export function isUnsupported(error: unknown): boolean {
  return error instanceof QuernError && error.code === 'UNSUPPORTED'
}

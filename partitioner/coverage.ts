/** Placeholder replaced by the partitioner's certificate. */
import type { Pin } from '../src/storage/backend.ts'

export interface CertifiedSpan {
  readonly index: number
  readonly start: number
  readonly end: number
  readonly state: 'delivered' | 'unread' | 'failed'
}

export interface CertifiedObject {
  readonly url: string
  readonly etag: string
  readonly pin: Pin
  readonly sizeBytes: number
  readonly deliveredBytes: number
  readonly records?: number
  readonly spans: readonly CertifiedSpan[]
}

export interface Certificate {
  readonly complete: boolean
  readonly objects: readonly CertifiedObject[]
  /** Spans that no function read, as `url [start, end)`. */
  readonly unread: readonly { readonly url: string; readonly start: number; readonly end: number }[]
  readonly failed: readonly {
    readonly url: string
    readonly index: number
    readonly start: number
    readonly end: number
    readonly error: string
  }[]
}

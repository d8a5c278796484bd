/**
 * The plan: which bytes each map call reads, as plain JSON. Planning is pure: objects in, plan out, nothing read.
 *
 * A partition is a *nominal* range; which records it owns follows from the ownership rule (boundary.ts) when it is
 * read. Nominal ranges of an object tile [0, size) by construction (cut.ts).
 */
import type { ByteRange } from '../src/core/bytes.ts'
import type { CloudObject } from '../src/core/cloud-object.ts'

/** Why an object is read by one GET without a range: what its store does not tell or do. */
export type Uncut = 'no length' | 'no ranges' | 'no validator'

/** A nominal range of one version of one object. */
export interface Partition {
  readonly object: CloudObject
  readonly range: ByteRange
  /** 0-based place within its object. */
  readonly index: number
  /** Partitions of its object. */
  readonly count: number
  /** The partition is its whole object and cannot be cut; with `no length` the size is 0 and means nothing. */
  readonly uncut?: Uncut
}

export interface PartitionOptions {
  /** Bytes, or `"64MiB"`. */
  readonly objChunkSize?: number | string | undefined
  /** Partitions per object; wins over `objChunkSize`. */
  readonly objChunkNumber?: number | undefined
  /** Ends a record; default `"\n"`. null: exact byte ranges, no alignment. */
  readonly objNewline?: string | Uint8Array | null | undefined
  /** null: compressed objects are read as the raw bytes they are. */
  readonly compression?: null | undefined
}

/** The options as they stand in a plan: sizes in bytes, a delimiter of bytes that are no text as base64. */
export interface PlanOptions {
  readonly objChunkSize?: number
  readonly objChunkNumber?: number
  readonly objNewline: string | { readonly base64: string } | null
  readonly compression?: null
}

export interface PriceTable {
  readonly currency: string
  /** Per 1,000 requests. */
  readonly get: number
  readonly list: number
  readonly put: number
  /** Per GiB of objects that is read; default 0. */
  readonly gib?: number
  /** Where the prices come from, and what they leave out. */
  readonly assumptions: string
}

export interface Plan {
  readonly version: 1
  /** The references the plan was made from, as text. */
  readonly selection: readonly string[]
  readonly options: PlanOptions
  readonly partitions: readonly Partition[]
  /** Count of objects, and their bytes; an object whose store tells no length counts as 0. */
  readonly objects: number
  readonly bytes: number
  /** The objects that are not held to one version (pin: "none"): no validator, or read by one uncut GET. */
  readonly unpinned?: readonly string[]
  readonly skipped: readonly { readonly url: string; readonly why: string }[]
  /** Requests the job is expected to send, those that made the plan included. */
  readonly requests: { readonly get: number; readonly list: number; readonly put: number }
  readonly cost: { readonly currency: string; readonly amount: number; readonly assumptions: string }
  /** Bytes of the nominal ranges. */
  readonly sizes: { readonly min: number; readonly median: number; readonly max: number }
  readonly warnings: readonly string[]
}

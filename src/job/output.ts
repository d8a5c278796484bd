/**
 * What outputs are made of as data: where a job writes, what a call is to write, what a committed call has written. All
 * of it is JSON and travels in the job's shared part, in calls, in commits and in the journal.
 */

/** `auto`: bytes, text and streams of those as they are, lists as NDJSON, anything else as JSON. */
export type OutputFormat = 'auto' | 'json' | 'ndjson'

/** The same for all calls of a job. */
export interface OutputHead {
  readonly backend: string
  readonly bucket: string
  readonly format: OutputFormat
  /** Instead of the one that follows from what is written. */
  readonly contentType?: string | undefined
  readonly compress?: 'gzip' | undefined
  /** The store was seen to honour conditions of puts; where not, what is there is looked at just before it is replaced. */
  readonly conditional: boolean
}

/** The final key of a call, and what lay there when the job began: its etag, null for nothing. */
export interface CallOutput {
  readonly key: string
  readonly expect: string | null
}

/** Part of a commit: the bytes that were written and where they are to appear. */
export interface OutputRecord extends CallOutput {
  readonly sizeBytes: number
  /** SHA-256 of the bytes, hex. */
  readonly digest: string
  readonly contentType: string
  /** Key in the journal's store that holds the bytes; absent where they lie in the commit itself. */
  readonly attemptKey?: string | undefined
}

/** Everything a job decides about its outputs before it runs; part of the journal, as JSON. */
export interface OutputPlan {
  readonly version: 1
  readonly head: OutputHead
  /** Begins every key; ends in a slash unless it is empty. */
  readonly prefix: string
  readonly manifest: CallOutput
  /** One a call, in call order. */
  readonly calls: readonly CallOutput[]
  /** Outputs of the manifest that is replaced which no call of the plan writes. */
  readonly previous: readonly { readonly key: string; readonly etag: string }[]
  readonly ifExists: 'refuse' | 'replace'
  /** The template of the names, if one was given; a function is not kept. */
  readonly naming: { readonly name?: string | undefined } | 'function'
}

/** Everything of quern's own under an output prefix. */
export const OWN_FOLDER = '_quern/'

export const MANIFEST_NAME = `${OWN_FOLDER}manifest.json`

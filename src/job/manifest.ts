/**
 * The manifest of a job's outputs: which objects it made, and of what. Pure. It is written last and once, so who finds
 * it finds everything it names; it is streamed, since a job may have a million outputs.
 */
import type { Partition } from '../../partitioner/plan.ts'
import type { ByteRange } from '../core/bytes.ts'
import { type CloudObject, objectUrl } from '../core/cloud-object.ts'
import type { OutputPlan } from './output.ts'

/** Bytes of one version of an object that an output was made from. */
export interface OutputInput {
  readonly url: string
  readonly etag: string
  readonly range: ByteRange
}

export interface ManifestEntry {
  /** In the manifest's bucket. */
  readonly key: string
  readonly sizeBytes: number
  readonly etag: string
  readonly contentType: string
  /** None where the job's inputs are items. */
  readonly inputs: readonly OutputInput[]
}

export interface Manifest {
  readonly version: 1
  /** `{executorId}-{jobId}` */
  readonly job: string
  /** Under which all outputs lie. */
  readonly to: string
  /** ISO 8601. */
  readonly createdAt: string
  /** In call order. */
  readonly outputs: readonly ManifestEntry[]
  /** Inputs of calls whose failure was tolerated: they are in no output. */
  readonly missing: readonly OutputInput[]
}

export interface ManifestParts {
  readonly job: string
  readonly createdAt: Date
  readonly plan: OutputPlan
  /** What each call published, in call order; undefined where it failed and that was tolerated. */
  readonly outputs: Iterable<CloudObject | undefined>
  inputsOf(call: number): readonly OutputInput[]
}

/** The manifest as JSON, piece by piece: one line an output. */
export function* manifestText(parts: ManifestParts): Generator<string> {
  const { job, createdAt, plan } = parts
  const { backend, bucket } = plan.head
  const head = { version: 1, job, to: objectUrl(backend, bucket, plan.prefix), createdAt: createdAt.toISOString() }
  yield `${JSON.stringify(head).slice(0, -1)},"outputs":[`
  const missing: OutputInput[] = []
  let separator = '\n'
  let call = 0
  for (const output of parts.outputs) {
    const inputs = parts.inputsOf(call++)
    if (output === undefined) missing.push(...inputs)
    else {
      const { key, size: sizeBytes, etag, contentType = '' } = output
      yield separator + JSON.stringify({ key, sizeBytes, etag, contentType, inputs } satisfies ManifestEntry)
      separator = ',\n'
    }
  }
  yield `\n],"missing":${JSON.stringify(missing)}}\n`
}

/** What partitions read, neighbours of one object put together. */
export function inputsOf(partitions: Iterable<Partition>): OutputInput[] {
  const inputs: OutputInput[] = []
  for (const { object, range } of partitions) {
    const last = inputs.at(-1)
    const isNext = last?.url === object.url && last.etag === object.etag && last.range.end === range.start
    if (isNext) inputs[inputs.length - 1] = { ...last, range: { start: last.range.start, end: range.end } }
    else inputs.push({ url: object.url, etag: object.etag, range })
  }
  return inputs
}

/** What is needed of a manifest that is there: whose it is, and what it names. Undefined for what is none. */
export function readManifest(text: string): Pick<Manifest, 'job' | 'outputs'> | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { version, job, outputs } = (value ?? {}) as Partial<Manifest>
  if (version !== 1 || typeof job !== 'string' || !Array.isArray(outputs)) return undefined
  const isEntry = ({ key, etag }: Partial<ManifestEntry>) => typeof key === 'string' && typeof etag === 'string'
  return outputs.every(isEntry) ? { job, outputs } : undefined
}

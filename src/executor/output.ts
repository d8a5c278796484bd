/**
 * The outputs of one job while it runs, on the driver's side, and the end of it: the manifest, put last and once, then
 * the removal of what it makes superfluous.
 *
 * Invariant: nothing is removed before the manifest that does not name it is there. Concluding may be repeated.
 */
import type { CloudObject } from '../core/cloud-object.ts'
import { mapConcurrent } from '../core/concurrency.ts'
import type { CommitPlace } from '../job/commits.ts'
import { attemptsPrefix } from '../job/keys.ts'
import { manifestText, type OutputInput } from '../job/manifest.ts'
import type { CallOutput, OutputHead, OutputPlan } from '../job/output.ts'
import { listUnder } from '../job/place.ts'
import { headIfAny, putExpected } from '../job/put-expected.ts'
import type { BackendResolver, StorageBackend } from '../storage/backend.ts'
import { partName } from './output-names.ts'
import { manifestAt } from './output-plan.ts'

const REQUESTS_AT_ONCE = 8
/** Manifests up to here are put as bytes. */
const SMALL_MANIFEST_BYTES = 8 << 20

export interface Conclusion {
  /** `{executorId}-{jobId}` */
  readonly job: string
  /** What each call published, in the order of the job's results; undefined where its failure was tolerated. Read twice. */
  outputs(): Iterable<CloudObject | undefined>
  /** By place in `outputs`. */
  inputsOf(place: number): readonly OutputInput[]
  readonly journal: CommitPlace
}

export class JobOutput {
  readonly plan: OutputPlan
  #names: ReadonlySet<string> | undefined
  #previous: ReadonlyMap<string, string> | undefined

  constructor(plan: OutputPlan) {
    this.plan = plan
  }

  get head(): OutputHead {
    return this.plan.head
  }

  /** What a call of the plan is to write. */
  of(call: number): CallOutput {
    const output = this.plan.calls[call]
    if (output === undefined) throw new RangeError(`call ${call} is not in the plan of outputs`)
    return output
  }

  /** What a part of a planned call that was divided is to write; `start`: the byte of the object at which it begins. */
  partOf(call: number, start: number): CallOutput {
    this.#names ??= new Set(this.plan.calls.map((output) => output.key))
    this.#previous ??= new Map(this.plan.previous.map((output) => [output.key, output.etag]))
    const names = this.#names
    const key = partName(this.of(call).key, start, (name) => names.has(name))
    return { key, expect: this.#previous.get(key) ?? null }
  }

  /**
   * Puts the manifest and removes what the one before named and this does not; then the attempts.
   * @throws StorageError PRECONDITION_FAILED when another job's manifest came between
   */
  async conclude(conclusion: Conclusion, resolve: BackendResolver): Promise<void> {
    const { bucket } = this.plan.head
    const target = await resolve(this.plan.head.backend)
    await putManifest(target, this.plan, conclusion)
    if (this.plan.previous.length > 0) {
      const kept = new Set<string>()
      for (const output of conclusion.outputs()) if (output !== undefined) kept.add(output.key)
      const stale = this.plan.previous.filter(({ key }) => !kept.has(key))
      await mapConcurrent(stale, REQUESTS_AT_ONCE, async ({ key, etag }) => {
        const now = await headIfAny(target, bucket, key)
        if (now?.etag === etag) await target.delete(bucket, [key])
      })
    }
    await removeAttempts(conclusion.journal)
  }
}

async function putManifest(target: StorageBackend, plan: OutputPlan, conclusion: Conclusion): Promise<void> {
  const { bucket, conditional } = plan.head
  const { key, expect } = plan.manifest
  const { job } = conclusion
  const createdAt = new Date()
  const text = () =>
    manifestText({ job, createdAt, plan, outputs: conclusion.outputs(), inputsOf: (call) => conclusion.inputsOf(call) })
  let sizeBytes = 0
  for (const piece of text()) sizeBytes += Buffer.byteLength(piece)
  const body = async () => (sizeBytes > SMALL_MANIFEST_BYTES ? encoded(text()) : Buffer.from([...text()].join('')))
  // a driver of this job may have died after it had put the manifest
  const isSame = async () => (await manifestAt(target, bucket, key))?.job === job
  const contentType = 'application/json'
  await putExpected(target, { bucket, key, expect, conditional, contentType, sizeBytes, body, isSame, again: true })
}

async function* encoded(text: Iterable<string>): AsyncGenerator<Uint8Array> {
  for (const piece of text) yield Buffer.from(piece)
}

async function removeAttempts(journal: CommitPlace): Promise<void> {
  for await (const page of listUnder(journal, attemptsPrefix(journal.name, journal.series))) {
    const keys = page.map(({ key }) => key)
    await journal.backend.delete(journal.bucket, keys)
  }
}

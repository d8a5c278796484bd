/**
 * What a job decides about its outputs before anything runs: the keys of all calls, checked against each other and
 * against what is there, and the versions that publishing and the manifest may replace.
 */
import type { Partition, Plan } from '../../partitioner/plan.ts'
import type { ObjectGroup } from '../../reducers/groups.ts'
import type { OutputSettings } from '../config/output-options.ts'
import { collectBytes } from '../core/bytes.ts'
import { objectUrl } from '../core/cloud-object.ts'
import { mapConcurrent } from '../core/concurrency.ts'
import { ConfigError, StorageError, ValidationError } from '../core/errors.ts'
import { inputsOf, type Manifest, type OutputInput, readManifest } from '../job/manifest.ts'
import { type CallOutput, MANIFEST_NAME, type OutputPlan } from '../job/output.ts'
import { headIfAny } from '../job/put-expected.ts'
import { type BackendResolver, isSeenBy, type ObjectHead, type Reach, type StorageBackend } from '../storage/backend.ts'
import { MAKES_ITS_BUCKETS } from '../storage/storage.ts'
import { type OutputName, type OutputPlace, outputNames } from './output-names.ts'

/** So few keys are looked at one by one; for more, their prefix is listed. */
const HEADS = 16
const REQUESTS_AT_ONCE = 8

type Place = Pick<OutputSettings['to'], 'backend' | 'bucket'>

/** What the outputs are of. */
export interface OutputSubject {
  readonly kind: 'map' | 'reduce'
  /** Calls of the job. */
  readonly count: number
  readonly plan?: Plan | undefined
  /** Set for a reduce: one group a call. */
  readonly groups?: readonly ObjectGroup<Partition['object']>[] | undefined
}

export interface OutputStores {
  readonly resolve: BackendResolver
  /** Of the workers. */
  readonly reach: Reach
  /** Whether the store was seen to honour conditions of puts. */
  isConditional(store: StorageBackend, bucket: string): Promise<boolean>
}

/**
 * Decides names and looks at what is there.
 * @throws ValidationError for names that collide, lead out of the prefix or name an input; ConfigError for a store that
 * workers cannot see or nobody can write; StorageError ALREADY_EXISTS where something is there and is not to be replaced
 */
export async function planOutput(
  settings: OutputSettings,
  subject: OutputSubject,
  stores: OutputStores,
): Promise<OutputPlan> {
  const { to, compress, format, contentType, ifExists } = settings
  const { backend, bucket, prefix } = to
  const store = await openTarget(to, stores)
  const naming = { name: settings.name as OutputName | undefined, kind: subject.kind, compress }
  const names = outputNames(placesOf(subject), { ...naming, anyKey: store.capabilities.anyKey })
  const keys = names.map((name) => prefix + name)
  assertUsable(keys, { head: to, subject, store })
  const manifestKey = prefix + MANIFEST_NAME
  const found = await versionsOf(store, bucket, prefix, [...keys, manifestKey])
  const [existing] = found.keys()
  if (ifExists === 'refuse' && existing !== undefined) throw alreadyThere(to, existing)
  const expected = (key: string): CallOutput => ({ key, expect: found.get(key) ?? null })
  const conditional = await stores.isConditional(store, bucket)
  return {
    version: 1,
    head: { backend, bucket, format, contentType, compress, conditional },
    prefix,
    manifest: expected(manifestKey),
    calls: keys.map(expected),
    previous: found.has(manifestKey) ? await previousOutputs(store, bucket, prefix) : [],
    ifExists,
    naming: typeof settings.name === 'function' ? 'function' : { name: settings.name },
  }
}

/** @throws ValidationError for keys that the store cannot hold, or that are inputs of the job */
export function assertUsable(
  keys: readonly string[],
  target: {
    readonly head: Place
    readonly subject: OutputSubject
    readonly store: StorageBackend
  },
): void {
  assertHeld(keys, target.store)
  assertNoInput(target.head, keys, target.subject)
}

/** The plan with what lies at the keys of these calls now: their commits were discarded, what they published is to go. */
export async function replaceable(
  plan: OutputPlan,
  calls: readonly number[],
  resolve: BackendResolver,
): Promise<OutputPlan> {
  const { backend, bucket } = plan.head
  const store = await resolve(backend)
  const keys = calls.map((call) => (plan.calls[call] as CallOutput).key)
  const found = await versionsOf(store, bucket, plan.prefix, [...keys, plan.manifest.key])
  const now = ({ key }: CallOutput): CallOutput => ({ key, expect: found.get(key) ?? null })
  const again = new Set(calls)
  const outputs = plan.calls.map((output, call) => (again.has(call) ? now(output) : output))
  return { ...plan, calls: outputs, manifest: now(plan.manifest) }
}

/** What the output of a call is made from: for the manifest. */
export function outputInputs({ plan, groups }: OutputSubject, call: number): OutputInput[] {
  if (plan === undefined) return []
  const maps = groups === undefined ? [call] : (groups[call]?.maps ?? [])
  return inputsOf(maps.flatMap((map) => plan.partitions[map] ?? []))
}

/** What a manifest that is there says; undefined where there is none, or something else. */
export async function manifestAt(
  store: StorageBackend,
  bucket: string,
  key: string,
): Promise<Pick<Manifest, 'job' | 'outputs'> | undefined> {
  if ((await headIfAny(store, bucket, key)) === undefined) return undefined
  const { body } = await store.get(bucket, key)
  return readManifest(Buffer.from(await collectBytes(body)).toString('utf8'))
}

/** Where each call's output comes from, for its name. */
export function placesOf({ kind, count, plan, groups }: OutputSubject): OutputPlace[] {
  if (kind === 'reduce') return (groups ?? []).map(({ object }, call) => ({ call, object, index: 0, count: 1 }))
  if (plan !== undefined) return plan.partitions.map((partition, call) => ({ ...partition, call }))
  return Array.from({ length: count }, (_, call) => ({ call, index: call, count }))
}

async function openTarget({ backend, bucket }: OutputSettings['to'], stores: OutputStores): Promise<StorageBackend> {
  const store = await stores.resolve(backend)
  if (!store.capabilities.writable) throw new ConfigError(`output: ${backend} storage cannot be written`)
  if (!isSeenBy(store.reach, stores.reach)) {
    throw new ConfigError(
      `output to ${backend} storage: it is seen by this ${store.reach} only, but the workers of this executor run beyond it`,
    )
  }
  if (MAKES_ITS_BUCKETS.has(backend)) await store.createBucket(bucket)
  else await store.headBucket(bucket)
  return store
}

function assertHeld(keys: readonly string[], { name, capabilities }: StorageBackend): void {
  const refused = keys.find((key) => capabilities.refusedKeys?.test(key))
  if (refused === undefined) return
  throw new ValidationError(`output: ${name} cannot hold the key ${JSON.stringify(refused)}; give output.name`)
}

function assertNoInput(to: Place, keys: readonly string[], { plan }: OutputSubject): void {
  const inputs = new Set<string>()
  for (const { object } of plan?.partitions ?? []) {
    if (object.backend === to.backend && object.bucket === to.bucket) inputs.add(object.key)
  }
  const own = keys.find((key) => inputs.has(key))
  if (own === undefined) return
  const url = objectUrl(to.backend, to.bucket, own)
  throw new ValidationError(`output: ${url} is an input of the job; expected another output.to or output.name`)
}

/** Etags of those keys that are there. */
export async function versionsOf(
  store: StorageBackend,
  bucket: string,
  prefix: string,
  keys: readonly string[],
): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  const add = (head: ObjectHead | undefined) => head !== undefined && found.set(head.key, head.etag)
  if (keys.length <= HEADS) {
    await mapConcurrent(keys, REQUESTS_AT_ONCE, async (key) => add(await headIfAny(store, bucket, key)))
    return found
  }
  const wanted = new Set(keys)
  for await (const page of store.list(bucket, { prefix })) for (const head of page) if (wanted.has(head.key)) add(head)
  return found
}

export function alreadyThere({ backend, bucket }: Place, key: string): StorageError {
  const what = "the output is there already; give output.ifExists: 'replace', or another output.to"
  return new StorageError('ALREADY_EXISTS', what, { backend, operation: 'output', bucket, key })
}

async function previousOutputs(store: StorageBackend, bucket: string, prefix: string): Promise<OutputPlan['previous']> {
  const manifest = await manifestAt(store, bucket, prefix + MANIFEST_NAME)
  const own = manifest?.outputs.filter(({ key }) => key.startsWith(prefix)) ?? []
  return own.map(({ key, etag }) => ({ key, etag }))
}

/**
 * The journal of a job: written in two steps before the job begins (its name is claimed, then everything a resume needs
 * is put beside it, all at once), and read by whoever resumes, replays or lists it.
 *
 * A journal without a driver, or that lacks anything else, was left while it was being written: that job had not begun,
 * since no call runs before all of it is there.
 * No credential is in it: values of `extraEnv` whose names look like secrets are left out, and must be in the
 * environment of who resumes.
 */
import { randomBytes } from 'node:crypto'
import { hostname, userInfo } from 'node:os'
import type { Plan } from '../../partitioner/plan.ts'
import { ConfigError, InvalidStateError, NotFoundError } from '../core/errors.ts'
import { frame, unframe } from './frame.ts'
import { functionFile, itemsFile, jobFile, jobPrefix, outputsKey, parseJobName, planFile, seriesOf } from './keys.ts'
import { DriverLease, type DriverVersion, readDriver } from './lease.ts'
import { decodeJob, encodeJob, type JobHead } from './messages.ts'
import { type JournalPlace, jsonBytes, listUnder, putOnce, readJson, readObject } from './place.ts'
import { decodePlan, encodeItems, encodePlan, type StoredPlan } from './stored-inputs.ts'

/** One map or reduce of a job. */
export interface PartRecord {
  /** `M000` */
  readonly jobId: string
  readonly kind: 'map' | 'reduce'
  /** Of the user's function. */
  readonly title: string
  readonly calls: number
  readonly memoryMiB?: number | undefined
  /** Options of its submission as far as JSON holds them; src/executor knows their form. */
  readonly settings: Readonly<Record<string, unknown>>
  /** Of a reduce. */
  readonly reduce?: {
    readonly byKey: boolean
    readonly spawnReducer?: number | undefined
    readonly folds?: { readonly commutative: boolean } | undefined
  }
}

export interface JobRecord {
  readonly version: 1
  /** `{executorId}-{jobId}`; of a map-reduce, of its reduce. */
  readonly name: string
  readonly nonce: string
  readonly executorId: string
  /** The map, and the reduce where there is one. */
  readonly parts: readonly PartRecord[]
  readonly inputs: 'plan' | 'items'
  /** Something was given as `outputs`. */
  readonly outputs: boolean
  readonly createdAt: number
  readonly host: string
  readonly user: string
  readonly pid: number
  /** Names of `extraEnv` whose values are not kept. */
  readonly secretEnv: readonly string[]
}

/** The shared part of a map or reduce as workers get it, and which function that is. */
export interface StoredFunction {
  readonly identity: string
  readonly bytes: Uint8Array
}

export interface NewJournal {
  readonly executorId: string
  readonly parts: readonly PartRecord[]
  /** By job id. */
  readonly functions: ReadonlyMap<string, StoredFunction>
  readonly inputs: { readonly plan: Plan } | { readonly count: number; itemOf(index: number): Uint8Array }
  /** What src/executor/output.ts wants to have back. */
  readonly outputs?: unknown
}

const SECRET = /KEY|SECRET|TOKEN|PASSW|CREDENTIAL/i

export function isSecretName(name: string): boolean {
  return SECRET.test(name)
}

/**
 * Claims the name of a job and writes its journal; the lease of its first driver.
 * @throws InvalidStateError when another job has the name
 */
export async function createJournal(place: JournalPlace, job: NewJournal, nowMs: number): Promise<DriverLease> {
  const { name, record } = recordOf(job, nowMs)
  const claim = await putOnce(place, jobFile(name), jsonBytes(record))
  if (!claim.won) throw new InvalidStateError(`${name} is the name of another job: make the executor anew`)
  const { backend, bucket } = place
  const inputs = 'plan' in job.inputs ? encodePlan(job.inputs.plan) : encodeItems(job.inputs.count, job.inputs.itemOf)
  const inputsKey = 'plan' in job.inputs ? planFile(name, 0) : itemsFile(name)
  const functions = [...job.functions].map(([jobId, fn]) => putFunction(place, name, seriesOf(jobId, 0), fn))
  const outputs = job.outputs === undefined ? [] : [backend.put(bucket, outputsKey(name), jsonBytes(job.outputs))]
  const lease = DriverLease.create(place, name, nowMs)
  await Promise.all([...functions, backend.put(bucket, inputsKey, inputs), ...outputs, lease])
  const held = await lease
  if (held === undefined) throw new InvalidStateError(`${name} has a driver already`)
  return held
}

function recordOf(job: NewJournal, nowMs: number): { name: string; record: JobRecord } {
  const name = `${job.executorId}-${(job.parts.at(-1) as PartRecord).jobId}`
  const envNames = [...job.functions.values()].flatMap(({ bytes }) => Object.keys(decodeJob(bytes).head.extraEnv))
  const record: JobRecord = {
    version: 1,
    name,
    nonce: randomBytes(8).toString('hex'),
    executorId: job.executorId,
    parts: job.parts,
    inputs: 'plan' in job.inputs ? 'plan' : 'items',
    outputs: job.outputs !== undefined,
    createdAt: nowMs,
    host: hostname(),
    user: userName(),
    pid: process.pid,
    secretEnv: [...new Set(envNames)].filter(isSecretName),
  }
  return { name, record }
}

/** Some systems (containers) have no name for the user a process runs as. */
function userName(): string {
  try {
    return userInfo().username
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return String(process.getuid?.() ?? '')
  }
}

/** Without values that look like secrets. */
export async function putFunction(
  { backend, bucket }: JournalPlace,
  name: string,
  series: string,
  { identity, bytes }: StoredFunction,
): Promise<void> {
  const { head, extraArgs } = decodeJob(bytes)
  const kept = Object.entries(head.extraEnv).filter(([variable]) => !isSecretName(variable))
  const { journal: _, ...rest } = head
  const stored = encodeJob({ ...rest, extraEnv: Object.fromEntries(kept) }, extraArgs)
  await backend.put(bucket, functionFile(name, series), frame({ identity }, [stored]))
}

/** A journal that can be gone on with. */
export interface OpenJournal {
  readonly record: JobRecord
  readonly driver: DriverVersion
}

/**
 * Reads what a job is and who drives it. Takes the name of a map-reduce's map too.
 *
 * @throws NotFoundError when there is no such job
 * @throws InvalidStateError when it was left before it began, or is of another version
 */
export async function openJournal(place: JournalPlace, name: string): Promise<OpenJournal> {
  const record = await findRecord(place, name)
  if (record.version !== 1) {
    throw new InvalidStateError(`the journal of ${name} is of format ${record.version}, this quern reads 1`)
  }
  const driver = await readDriver(place, record.name)
  if (driver === undefined) throw notBegun(record.name)
  return { record, driver }
}

/** The name under which a job's journal lies, from its own or its map's. @throws NotFoundError, InvalidStateError */
export async function findJob(place: JournalPlace, name: string): Promise<string> {
  return (await findRecord(place, name)).name
}

async function findRecord(place: JournalPlace, name: string): Promise<JobRecord> {
  const parsed = parseJobName(name)
  const names = parsed?.letter === 'M' ? [name, `${parsed.executorId}-R${parsed.jobId.slice(1)}`] : [name]
  for (const each of names) {
    const found = await readJson<JobRecord>(place, jobFile(each))
    if (found !== undefined) return found.value
    for await (const page of listUnder(place, jobPrefix(each))) if (page.length > 0) throw notBegun(each)
  }
  const context = { backend: place.backend.name, operation: 'open job', bucket: place.bucket, key: jobPrefix(name) }
  throw new NotFoundError('no such job: it was cleaned, or its journal is in another storage', context)
}

function notBegun(name: string): InvalidStateError {
  return new InvalidStateError(
    `${name} cannot be resumed: its journal is incomplete, so it had not begun (or was being cleaned); clean it and submit it anew`,
  )
}

/**
 * The shared part of a map or reduce for workers, with what this environment must bring; undefined: it is not to run.
 *
 * @throws InvalidStateError when it is not in the journal
 * @throws ConfigError naming a secret variable that is not in the environment
 */
export async function readFunction(
  place: JournalPlace,
  { name, secretEnv }: JobRecord,
  series: string,
  env: NodeJS.ProcessEnv | undefined,
): Promise<{ readonly identity: string; readonly head: JobHead; readonly extraArgs: Uint8Array }> {
  const version = await readObject(place, functionFile(name, series))
  if (version === undefined) throw notBegun(name)
  const { head: stored, rest } = unframe<{ identity: string }>(version.bytes, 0)
  const { head, extraArgs } = decodeJob(version.bytes.subarray(rest))
  if (env === undefined) return { identity: stored.identity, head, extraArgs }
  const missing = secretEnv.filter((variable) => env[variable] === undefined)
  if (missing.length > 0) {
    throw new ConfigError(
      `${name} was given ${missing.join(', ')} in extraEnv, which no journal keeps: set ${missing.length === 1 ? 'it' : 'them'} in the environment that resumes it`,
    )
  }
  const secrets = Object.fromEntries(secretEnv.map((variable) => [variable, env[variable] as string]))
  return { identity: stored.identity, head: { ...head, extraEnv: { ...head.extraEnv, ...secrets } }, extraArgs }
}

/** @throws InvalidStateError when it is not in the journal */
export async function readPlan({ backend, bucket }: JournalPlace, name: string, replan: number): Promise<StoredPlan> {
  return decodePlan(await bodyOf(() => backend.get(bucket, planFile(name, replan)), name))
}

/** The stream of encoded items. @throws InvalidStateError when it is not in the journal */
export async function openItems({ backend, bucket }: JournalPlace, name: string): Promise<AsyncIterable<Uint8Array>> {
  return bodyOf(() => backend.get(bucket, itemsFile(name)), name)
}

/** What was given as `outputs`; undefined where nothing was. @throws InvalidStateError when it is not in the journal */
export async function readOutputs(place: JournalPlace, { name, outputs }: JobRecord, replan: number): Promise<unknown> {
  if (!outputs) return undefined
  const found = await readJson(place, outputsKey(name, replan))
  if (found === undefined) throw notBegun(name)
  return found.value
}

async function bodyOf(get: () => Promise<{ body: AsyncIterable<Uint8Array> }>, name: string) {
  try {
    return (await get()).body
  } catch (error) {
    throw error instanceof NotFoundError ? notBegun(name) : error
  }
}

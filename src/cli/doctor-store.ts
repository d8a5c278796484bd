/** The store behind the way to it: who we are to it, where the bucket is, what may be done there. */
import { randomBytes } from 'node:crypto'
import { collectBytes } from '../core/bytes.ts'
import { objectUrl } from '../core/cloud-object.ts'
import { NotFoundError, QuernError, StorageError } from '../core/errors.ts'
import { formatSize } from '../core/sizes.ts'
import type { ObjectHead, StorageBackend } from '../storage/backend.ts'
import { type Finding, failed, ok, type Steps } from './doctor-steps.ts'

export const ACCESS_STEPS = ['credentials', 'region', 'bucket', 'list'] as const
export const WRITE_STEPS = ['put', 'conditional put', 'get range', 'delete'] as const

type AccessStep = (typeof ACCESS_STEPS)[number]

export interface Place {
  readonly backend: string
  readonly bucket: string
  readonly prefix: string
  /** Whose credentials are used, in words; undefined where the store asks for none. */
  readonly identity: string | undefined
  /** In words; undefined where the store has none. */
  readonly region: string | undefined
  /** A store of this machine makes its bucket when it is first written to. */
  readonly makesBucket: boolean
}

const BAD_CREDENTIALS =
  /InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|TokenRefresh|CredentialsProvider|InvalidClientTokenId|RequestTimeTooSkewed|default credentials|invalid_grant|invalid_client|unauthorized_client|invalid_rapt|HTTP 401/
const BAD_REGION =
  /AuthorizationHeaderMalformed|PermanentRedirect|TemporaryRedirect|IllegalLocationConstraint|InvalidRegion/

/** One listing answers for all four: what it fails by says which. Whether objects may be asked for. */
export async function examineAccess(steps: Steps, store: StorageBackend, place: Place): Promise<boolean> {
  try {
    const listed = await steps.within((signal) => firstPage(store, place, signal))
    tellFine(steps, place, ['credentials', 'region', 'bucket'])
    steps.add('list', listed)
    return true
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') throw error
    if (!place.makesBucket || !(error instanceof NotFoundError)) return tellFailed(steps, place, error)
    tellFine(steps, place, ['credentials', 'region'])
    steps.add('bucket', ok(`${place.bucket} is made at the first write`))
    steps.skip(['list'], 'nothing is there yet')
    return true
  }
}

function tellFine(steps: Steps, { identity, region, bucket }: Place, names: readonly AccessStep[]): void {
  const words = { credentials: identity, region, bucket: `${bucket} is there`, list: '' }
  for (const name of names) {
    const detail = words[name]
    if (detail === undefined) steps.skip([name], `this store has no ${name}`)
    else steps.add(name, ok(detail))
  }
}

/** What comes before the step that failed was fine, where the store said so: one of another region does not look at keys. */
function tellFailed(steps: Steps, place: Place, error: unknown): false {
  const at = failedStep(error)
  const before = ACCESS_STEPS.slice(0, ACCESS_STEPS.indexOf(at))
  if (at !== 'region' && isAnswer(error)) tellFine(steps, place, before)
  else steps.skip(before, 'it cannot be told: the store did not say')
  steps.add(at, failed(wordsOf(error), adviceOf(at, error, place)))
  steps.skip(ACCESS_STEPS.slice(before.length + 1), `without ${at} it cannot be told`)
  return false
}

function isAnswer(error: unknown): boolean {
  if (!(error instanceof StorageError)) return false
  const { status = 0 } = error
  return error.code === 'NOT_FOUND' || error.code === 'PERMISSION_DENIED' || (status >= 400 && status < 500)
}

/** A URL of the web: there is nothing else to look at than the object itself. */
export async function examineObject(steps: Steps, store: StorageBackend, bucket: string, key: string): Promise<void> {
  await steps.run('object', async (signal) => {
    const head = await store.head(bucket, key, { signal })
    const size = head.sizeUnknown ? 'size not told' : formatSize(head.size)
    const ranges = head.acceptsRanges === false || head.sizeUnknown ? 'cannot be cut' : 'can be cut'
    return ok(`${size}, ${ranges}, ${head.etag === '' ? 'not pinned: no ETag and no Last-Modified' : 'pinned'}`)
  })
}

/** Puts, reads and deletes objects of its own; what it put is taken away however it ends. */
export async function examineWriting(steps: Steps, store: StorageBackend, place: Place): Promise<void> {
  const { bucket, prefix, backend } = place
  const name = `quern-doctor-${randomBytes(6).toString('hex')}`
  const [key, rival] = [`${prefix}${name}.tmp`, `${prefix}${name}-once.tmp`]
  const body = Buffer.from('quern doctor was here')
  let head: ObjectHead | undefined
  if (place.makesBucket) await store.createBucket(bucket)
  try {
    await steps.run(
      'put',
      async (signal) => {
        head = await store.put(bucket, key, body, { signal })
        return ok(`${body.length} bytes at ${objectUrl(backend, bucket, key)}`)
      },
      () => 'putting needs s3:PutObject, or what this store calls it, on that prefix',
    )
    if (head === undefined) return steps.skip(['conditional put', 'get range'], 'nothing could be put')
    await steps.run('conditional put', (signal) => putTwice(store, bucket, rival, body, signal))
    const { etag } = head
    await steps.run('get range', async (signal) => {
      const reading = await store.get(bucket, key, { range: { start: 6, end: 12 }, ifMatch: etag, signal })
      const text = Buffer.from(await collectBytes(reading.body)).toString()
      return text === 'doctor'
        ? ok('6 bytes from the middle, pinned')
        : failed(`other bytes came than were put: ${text}`)
    })
  } finally {
    await clean(steps, store, bucket, head === undefined ? [] : [key, rival])
  }
}

/** Whether a store keeps the condition is not to be believed but tried: the second put must fail. */
async function putTwice(
  store: StorageBackend,
  bucket: string,
  key: string,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<Finding> {
  if (!store.capabilities.conditionalPut) return { status: 'skipped', detail: `${store.name} has none` }
  const advice = 'jobs that are to be resumed need a store that can, as journalStorage; all else works'
  try {
    await store.put(bucket, key, body, { ifAbsent: true, signal })
    await store.put(bucket, key, body, { ifAbsent: true, signal })
  } catch (error) {
    const code = error instanceof StorageError ? error.code : ''
    if (code === 'ALREADY_EXISTS') return ok('of two, the second was refused')
    if (code === 'UNSUPPORTED') return failed(`the store refuses them: ${wordsOf(error)}`, advice)
    throw error
  }
  return failed('both of two were accepted: the store ignores the condition', advice)
}

async function clean(steps: Steps, store: StorageBackend, bucket: string, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return steps.skip(['delete'], 'nothing could be put')
  await steps.run(
    'delete',
    async (signal) => {
      for (const key of keys) await store.delete(bucket, [key], { signal })
      return ok('the temporary objects are gone')
    },
    () => `left behind: ${keys.map((key) => objectUrl(store.name, bucket, key)).join(', ')}`,
  )
}

async function firstPage(store: StorageBackend, { bucket, prefix }: Place, signal: AbortSignal): Promise<Finding> {
  for await (const page of store.list(bucket, { prefix, signal })) {
    return ok(`${page.length} objects on the first page${prefix === '' ? '' : ` under ${prefix}`}`)
  }
  return ok(prefix === '' ? 'the bucket is empty' : `nothing lies under ${prefix}`)
}

function failedStep(error: unknown): AccessStep {
  const words = wordsOf(error)
  if (BAD_CREDENTIALS.test(words)) return 'credentials'
  if (BAD_REGION.test(words)) return 'region'
  return error instanceof NotFoundError || /InvalidBucketName/.test(words) ? 'bucket' : 'list'
}

function adviceOf(step: AccessStep, error: unknown, { bucket, identity }: Place): string {
  const words = wordsOf(error)
  if (step === 'region') return 'set region to the one of the bucket, in the section of the store or in AWS_REGION'
  if (step === 'bucket') return `check the name ${bucket}, or create the bucket; names are the account's or everybody's`
  if (step === 'list') {
    return error instanceof QuernError && error.code === 'PERMISSION_DENIED'
      ? `the credentials are known, but may not list ${bucket}: they need s3:ListBucket, or what this store calls it`
      : 'the store was reached, but did not answer as one: see the message'
  }
  const whose = `the credentials (${identity ?? 'none'})`
  if (/Expired|TokenRefresh|invalid_rapt/.test(words)) return `${whose} have expired: sign in again`
  if (/TimeTooSkewed/.test(words)) return 'the clocks differ: set the clock of this machine (NTP)'
  if (/SignatureDoesNotMatch/.test(words)) return `the secret key does not belong to the access key: check ${whose}`
  if (/InvalidAccessKeyId|InvalidClientTokenId/.test(words))
    return `the store does not know the access key: check ${whose}`
  return `no credentials were found or they are refused: set keys or a profile in the section of the store, the environment, or sign in (${identity ?? 'none'})`
}

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause as { readonly name?: unknown; readonly Code?: unknown; readonly code?: unknown } | undefined
  const code = cause?.Code ?? cause?.code ?? cause?.name
  return code === undefined || error.message.includes(String(code)) ? error.message : `${error.message} (${code})`
}

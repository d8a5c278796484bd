/**
 * `quern storage rm`. One object is deleted as it is said; several only after their number was confirmed, by who sits
 * there or by `--yes`. What was counted is what is deleted: nothing that came later.
 */
import { isTransient, messageOf } from '../core/errors.ts'
import { formatSize } from '../core/sizes.ts'
import type { StorageBackend } from '../storage/backend.ts'
import type { CliContext, ExitCode } from './context.ts'
import { asData, UsageError } from './failures.ts'
import { inLanes } from './in-lanes.ts'
import { counted, writeText } from './output.ts'
import { printable } from './storage-ls.ts'
import { type Found, findObjects, locateStored, urlOf } from './storage-references.ts'
import { withStores } from './stores.ts'

/** What stores delete in one request. */
const BATCH_KEYS = 1_000
const LANES = 4
const SHOWN_FAILURES = 20

export interface RemoveFlags {
  readonly config?: string
  readonly json?: boolean
  readonly dryRun?: boolean
  readonly yes?: boolean
}

/** @throws NotFoundError where nothing matches; UsageError where several objects are not confirmed */
export async function rm(url: string, flags: RemoveFlags, context: CliContext): Promise<ExitCode> {
  const located = locateStored(url, context.cwd)
  if (located.backend === 'http') throw new UsageError(`${url}: nothing can be deleted behind http(s) URLs`)
  return withStores(flags, context, async ({ resolve }, signal) => {
    const found = findObjects(located, resolve, { folders: false, signal })
    if (flags.dryRun) return list(found, flags, context)
    const store = await resolve(located.backend)
    const removal = new Removal(store, located.bucket, flags, context, signal)
    if (flags.yes) await removal.run(found)
    else {
      const objects: Found[] = []
      for await (const each of found) objects.push(each)
      if (objects.length > 1 && !(await isConfirmed(url, objects, context, signal))) {
        context.stderr.write('nothing was deleted\n')
        return 1
      }
      await removal.run(eachOf(objects))
    }
    return removal.end()
  })
}

async function list(found: AsyncIterable<Found>, flags: RemoveFlags, { stdout }: CliContext): Promise<ExitCode> {
  let objects = 0
  let bytes = 0
  for await (const each of found) {
    objects += 1
    bytes += each.head.size
    const url = urlOf(each)
    const line = flags.json ? JSON.stringify({ url, status: 'would be deleted' }) : `would delete ${printable(url)}`
    await writeText(stdout, `${line}\n`)
  }
  if (!flags.json) await writeText(stdout, `${counted(objects, 'object')}, ${formatSize(bytes)}; nothing was deleted\n`)
  return 0
}

async function isConfirmed(
  url: string,
  objects: readonly Found[],
  { ask }: CliContext,
  signal: AbortSignal,
): Promise<boolean> {
  const bytes = objects.reduce((sum, { head }) => sum + head.size, 0)
  const what = `${counted(objects.length, 'object')}, ${formatSize(bytes)}`
  if (ask === undefined) {
    throw new UsageError(`${url}: ${what}: more than one is deleted only with --yes (--dry-run lists them)`)
  }
  const answer = await ask(`delete ${what} under ${printable(url)}? [y/N] `, signal)
  return !signal.aborted && /^\s*y(es)?\s*$/i.test(answer)
}

class Removal {
  readonly #store: StorageBackend
  readonly #bucket: string
  readonly #flags: RemoveFlags
  readonly #context: CliContext
  readonly #signal: AbortSignal
  #deleted = 0
  #failed = 0

  constructor(store: StorageBackend, bucket: string, flags: RemoveFlags, context: CliContext, signal: AbortSignal) {
    this.#store = store
    this.#bucket = bucket
    this.#flags = flags
    this.#context = context
    this.#signal = signal
  }

  async run(found: AsyncIterable<Found>): Promise<void> {
    await inLanes(batches(found), LANES, (batch) => this.#delete(batch))
    this.#signal.throwIfAborted()
  }

  end(): ExitCode {
    const failed = this.#failed > 0 ? `; ${this.#failed} failed` : ''
    if (!this.#flags.json) this.#context.stdout.write(`deleted ${counted(this.#deleted, 'object')}${failed}\n`)
    return this.#failed > 0 ? 1 : 0
  }

  /** A batch that is refused is told apart key by key, unless the store as a whole is not there. */
  async #delete(batch: readonly Found[]): Promise<void> {
    const signal = this.#signal
    if (signal.aborted) return
    try {
      const keys = batch.map(({ head }) => head.key)
      await this.#store.delete(this.#bucket, keys, { signal })
    } catch (error) {
      if (signal.aborted) return
      if (batch.length === 1 || isTransient(error)) return this.#tellFailed(batch, error)
      for (const found of batch) await this.#delete([found])
      return
    }
    this.#deleted += batch.length
    if (!this.#flags.json) return
    const lines = batch.map((found) => JSON.stringify({ url: urlOf(found), status: 'deleted' }))
    await writeText(this.#context.stdout, `${lines.join('\n')}\n`)
  }

  async #tellFailed(batch: readonly Found[], error: unknown): Promise<void> {
    const { stdout, stderr } = this.#context
    for (const found of batch) {
      this.#failed += 1
      const url = urlOf(found)
      if (this.#flags.json) {
        await writeText(stdout, `${JSON.stringify({ url, status: 'failed', error: asData(error) })}\n`)
      } else if (this.#failed <= SHOWN_FAILURES) {
        stderr.write(`failed: ${printable(url)}: ${messageOf(error)}\n`)
      }
    }
  }
}

async function* batches(found: AsyncIterable<Found>): AsyncGenerator<readonly Found[]> {
  let batch: Found[] = []
  for await (const each of found) {
    batch.push(each)
    if (batch.length < BATCH_KEYS) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

async function* eachOf<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items
}

/** `quern storage get`, `put` and `cp`: one copy, told in three ways. */

import type { Located } from '../../partitioner/reference.ts'
import { messageOf } from '../core/errors.ts'
import { formatDuration, formatSize } from '../core/sizes.ts'
import type { CliContext, CliStores, ExitCode } from './context.ts'
import { asData, UsageError } from './failures.ts'
import { counted, writeText } from './output.ts'
import { type Copied, type Copy, type CopyListener, copyObjects } from './storage-copy.ts'
import { createTransferBar, type TransferBar } from './storage-progress.ts'
import { type Destination, isDirectory, locateDestination, locateStored, urlOf } from './storage-references.ts'
import { withStores } from './stores.ts'

const SHOWN_FAILURES = 20

export interface TransferFlags {
  readonly config?: string
  readonly json?: boolean
  readonly concurrency: number
  readonly progress: boolean
}

/** Files of this machine from a store; default: here, under their own names. */
export async function get(
  source: string,
  destination: string | undefined,
  flags: TransferFlags,
  context: CliContext,
): Promise<ExitCode> {
  if (destination !== undefined && locateDestination(destination, context.cwd).backend !== 'file') {
    throw new UsageError(`${destination}: get writes files of this machine; quern storage cp copies between stores`)
  }
  return transfer('get', [source], destination ?? '.', flags, context)
}

/** Files and directories of this machine to a store. */
export async function put(
  files: readonly string[],
  destination: string,
  flags: TransferFlags,
  context: CliContext,
): Promise<ExitCode> {
  for (const file of files) {
    if (locateStored(file, context.cwd).backend === 'file') continue
    throw new UsageError(`${file}: put reads files of this machine; quern storage cp copies between stores`)
  }
  return transfer('put', files, destination, flags, context)
}

/** Whatever is read to wherever it can be written. */
export async function cp(
  source: string,
  destination: string,
  flags: TransferFlags,
  context: CliContext,
): Promise<ExitCode> {
  return transfer('cp', [source], destination, flags, context)
}

function transfer(
  name: string,
  sources: readonly string[],
  destination: string,
  flags: TransferFlags,
  context: CliContext,
): Promise<ExitCode> {
  const located = sources.map((source) => locateStored(source, context.cwd))
  const to = locateDestination(destination, context.cwd)
  const many = located.length > 1 || located.some(selectsMany)
  if (many && !to.isFolder && to.backend !== 'file') {
    throw new UsageError(`${destination}: what may be several objects needs a prefix, which ends in "/"`)
  }
  // a path that is not there yet can only be the folder of what may be several files
  const folder: Destination = { ...to, isFolder: to.isFolder || many }
  return withStores(flags, context, async (stores, signal) => {
    await makeDefaultBucket(folder, stores)
    const teller = new Teller(name, flags, context)
    const { concurrency } = flags
    try {
      await copyObjects({ ...stores, sources: located, destination: folder, concurrency, signal, listener: teller })
    } finally {
      teller.end(signal)
    }
    return teller.exitCode
  })
}

function selectsMany({ backend, target }: Located): boolean {
  return target.type !== 'key' || (backend === 'file' && isDirectory(`/${target.key}`))
}

/** As `Storage` does at its first write. */
async function makeDefaultBucket({ backend, bucket }: Destination, { config, resolve }: CliStores): Promise<void> {
  if (backend !== 'localhost' || bucket !== (config.sections.localhost.storageBucket ?? 'quern')) return
  await (await resolve(backend)).createBucket(bucket)
}

/** Says what happens: a line an object with `--json`, else a bar while it lasts and a sum at the end. */
class Teller implements CopyListener {
  readonly #context: CliContext
  readonly #flags: TransferFlags
  readonly #bar: TransferBar
  readonly #startedAt = performance.now()
  readonly #failures: { readonly copy: Copy; readonly error: unknown }[] = []
  #failed = 0
  #copied = 0
  #bytes = 0
  #skipped = 0
  #lostEncodings = 0
  #interrupted = 0

  constructor(name: string, flags: TransferFlags, context: CliContext) {
    this.#context = context
    this.#flags = flags
    const { stderr } = context
    const shown = flags.progress && flags.json !== true
    this.#bar = createTransferBar(name, shown ? stderr : { write: () => true }, () => Date.now())
  }

  get exitCode(): ExitCode {
    return this.#failed > 0 ? 1 : 0
  }

  planned(objects: number, bytes: number): void {
    this.#bar.planned(objects, bytes)
  }

  started(copy: Copy): void {
    this.#bar.started(copy)
  }

  progress(copy: Copy, bytes: number): void {
    this.#bar.progress(copy, bytes)
  }

  async copied(copy: Copied): Promise<void> {
    this.#copied += 1
    this.#bytes += copy.bytes
    if (copy.lostEncoding !== undefined) this.#lostEncodings += 1
    this.#bar.copied(copy)
    const { bytes, lostEncoding } = copy
    await this.#line({ ...placesOf(copy), status: 'copied', bytes, ...(lostEncoding && { lostEncoding }) })
  }

  async failed(copy: Copy, error: unknown): Promise<void> {
    this.#bar.failed(copy)
    if (Object(error).name === 'AbortError' || Object(error).code === 'CANCELLED') {
      this.#interrupted += 1
      return this.#line({ ...placesOf(copy), status: 'interrupted' })
    }
    this.#failed += 1
    if (this.#failures.length < SHOWN_FAILURES) this.#failures.push({ copy, error })
    await this.#line({ ...placesOf(copy), status: 'failed', error: asData(error) })
  }

  skipped(): void {
    this.#skipped += 1
  }

  end(signal: AbortSignal): void {
    this.#bar.close()
    const { stdout, stderr } = this.#context
    for (const { copy, error } of this.#flags.json ? [] : this.#failures) {
      stderr.write(`failed: ${urlOf(copy.found)}: ${messageOf(error)}\n`)
    }
    const more = this.#failed - this.#failures.length
    if (this.#flags.json) return
    if (more > 0) stderr.write(`and ${more} more (--json tells all)\n`)
    if (this.#lostEncodings > 0) {
      stderr.write(`note: ${counted(this.#lostEncodings, 'object')} lost the header Content-Encoding on the way\n`)
    }
    const took = formatDuration(performance.now() - this.#startedAt)
    const rest = [
      ...(this.#failed > 0 ? [`${this.#failed} failed`] : []),
      ...(signal.aborted ? ['the rest was not begun'] : []),
      ...(this.#skipped > 0 ? [`${counted(this.#skipped, 'folder marker')} left out`] : []),
    ]
    const sum = `copied ${counted(this.#copied, 'object')}, ${formatSize(this.#bytes)} in ${took}`
    stdout.write(`${[sum, ...rest].join('; ')}\n`)
  }

  #line(data: object): void | Promise<void> {
    return this.#flags.json ? writeText(this.#context.stdout, `${JSON.stringify(data)}\n`) : undefined
  }
}

function placesOf({ found, destination }: Copy): { readonly source: string; readonly destination: string } {
  return { source: urlOf(found), destination }
}

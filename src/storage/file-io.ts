/**
 * Reading and writing files as objects; FileBackend and LocalhostBackend stand on it.
 *
 * Invariants: a read uses one descriptor, and a chunk is handed out only while the file is still the version that was
 * opened, so no reader sees bytes of two versions. A write lands under a temporary name first.
 */
import { createHash, randomBytes } from 'node:crypto'
import fs, { type BigIntStats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { hostname } from 'node:os'
import type { ByteRange } from '../core/bytes.ts'
import { NotFoundError, ObjectChangedError, type StorageContext, StorageError } from '../core/errors.ts'
import { processRuns } from '../core/process-runs.ts'
import type { GetOptions, ObjectHead, ObjectReading } from './backend.ts'
import { FileChunks } from './file-chunks.ts'
import { clipRange } from './ranges.ts'

/** What names a file's content: the etag of files. */
export type FileVersion = (stat: BigIntStats) => string

/** For files anybody writes: device, inode, size, mtime and ctime in ns. */
export const strictVersion: FileVersion = (stat) => `${storedVersion(stat)}-${stat.ctimeNs}`

/**
 * For files only `fillFile` wrote, under a new inode and with a precise mtime each. Without ctime, which changes when
 * a newer file takes the name: who still reads the old one shall read it to its end.
 */
export const storedVersion: FileVersion = ({ dev, ino, size, mtimeNs }) => `${dev}-${ino}-${size}-${mtimeNs}`

export function headOfFile(key: string, stat: BigIntStats, versionOf: FileVersion): ObjectHead {
  return { key, size: Number(stat.size), etag: versionOf(stat), lastModified: Number(stat.mtimeMs) }
}

/**
 * Opens a file and reads a range of it. The descriptor closes with the body.
 *
 * @throws NotFoundError when there is no regular file; ObjectChangedError, RANGE_INVALID as the contract says
 */
export async function readFile(
  path: string,
  options: GetOptions,
  context: StorageContext,
  versionOf: FileVersion,
): Promise<ObjectReading> {
  options.signal?.throwIfAborted()
  let file: FileHandle
  try {
    // a fifo must not block the open
    file = await open(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
  } catch (error) {
    throw fileError(error, context)
  }
  try {
    const stat = await file.stat({ bigint: true })
    if (!stat.isFile()) throw new NotFoundError('not a regular file', context)
    const head = headOfFile(context.key ?? path, stat, versionOf)
    if (options.ifMatch !== undefined && options.ifMatch !== head.etag) {
      throw new ObjectChangedError(`the file is version ${head.etag}, not ${options.ifMatch}`, context)
    }
    const range = clipRange(options.range, head.size, context)
    return { head, range, body: readBody(file, range, { etag: head.etag, versionOf }, context, options) }
  } catch (error) {
    await file.close()
    throw fileError(error, context)
  }
}

interface OpenedVersion {
  readonly etag: string
  readonly versionOf: FileVersion
}

async function* readBody(
  file: FileHandle,
  range: ByteRange,
  opened: OpenedVersion,
  context: StorageContext,
  { signal, reuse }: GetOptions,
): AsyncGenerator<Uint8Array> {
  const chunks = new FileChunks(file.fd, range, reuse === true)
  try {
    for (let chunk = await chunks.next(); chunk !== undefined; chunk = await chunks.next()) {
      signal?.throwIfAborted()
      assertVersion(file.fd, opened, context)
      if (chunk.length === 0) {
        throw new StorageError('BODY_TRUNCATED', `the file ended before byte ${range.end}`, context)
      }
      yield chunk
    }
  } catch (error) {
    throw fileError(error, context)
  } finally {
    await chunks.settle()
    await file.close()
  }
}

function assertVersion(fd: number, { etag, versionOf }: OpenedVersion, context: StorageContext): void {
  const now = versionOf(fs.fstatSync(fd, { bigint: true }))
  if (now !== etag) throw new ObjectChangedError(`the file became version ${now} while it was read`, context)
}

/** A name no key may have and no listing shows; it says which process of which host writes there. */
export function temporaryName(): string {
  return `.quern-${hostMark()}${process.pid.toString(16).padStart(8, '0')}${randomBytes(6).toString('hex')}.tmp`
}

export function isTemporaryName(name: string): boolean {
  return name.startsWith('.quern-') && TEMPORARY.test(name)
}

/** Removes from a folder what processes of this host left under temporary names. A folder that is not there has nothing. */
export function sweepFolder(folder: string, context: StorageContext): void {
  try {
    for (const name of fs.readdirSync(folder)) {
      const [, host, pid = ''] = TEMPORARY.exec(name) ?? []
      if (host !== hostMark() || processRuns(Number.parseInt(pid, 16))) continue
      fs.rmSync(`${folder}/${name}`, { force: true })
    }
  } catch (error) {
    const mapped = fileError(error, context)
    if (!(mapped instanceof NotFoundError)) throw mapped
  }
}

const TEMPORARY = /^\.quern-([0-9a-f]{4})([0-9a-f]{8})[0-9a-f]{12}\.tmp$/

function hostMark(): string {
  return createHash('sha256').update(hostname()).digest('hex').slice(0, 4)
}

/** A new file, open for writing. @throws what the file system throws, unmapped: a missing folder is the caller's */
export function createFile(path: string): Promise<FileHandle> {
  return open(path, 'wx')
}

/**
 * Writes a body to a new file and closes it; a body that fails leaves no file and throws its own error. The mtime is
 * set to the clock's own resolution: the kernel's stamps are a few ms coarse, in which a reused inode could pass for
 * an older version.
 */
export async function fillFile(
  file: FileHandle,
  path: string,
  body: Uint8Array | AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
  context: StorageContext,
): Promise<void> {
  let whole = false
  try {
    if (body instanceof Uint8Array) await writeFull(file, body, context)
    else {
      for await (const chunk of body) {
        signal?.throwIfAborted()
        await writeFull(file, chunk, context)
      }
    }
    signal?.throwIfAborted()
    const seconds = preciseSeconds()
    await file.utimes(seconds, seconds)
    whole = true
  } finally {
    await file.close()
    if (!whole) fs.rmSync(path, { force: true })
  }
}

/** The same for a small body, at once: handing it to another thread and back would take longer than writing it. */
export function writeSmallFile(path: string, body: Uint8Array): void {
  const file = fs.openSync(path, 'wx')
  let whole = false
  try {
    for (let offset = 0; offset < body.length; ) offset += fs.writeSync(file, body, offset)
    const seconds = preciseSeconds()
    fs.futimesSync(file, seconds, seconds)
    whole = true
  } finally {
    fs.closeSync(file)
    if (!whole) fs.rmSync(path, { force: true })
  }
}

function preciseSeconds(): number {
  return (performance.timeOrigin + performance.now()) / 1_000
}

async function writeFull(file: FileHandle, bytes: Uint8Array, context: StorageContext): Promise<void> {
  try {
    for (let offset = 0; offset < bytes.length; ) {
      const { bytesWritten } = await file.write(bytes, offset)
      offset += bytesWritten
    }
  } catch (error) {
    throw fileError(error, context)
  }
}

/** The regular file at a path; undefined when there is none. */
export function statIfFile(path: string, context: StorageContext): BigIntStats | undefined {
  try {
    const stat = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
    return stat?.isFile() ? stat : undefined
  } catch (error) {
    const mapped = fileError(error, context)
    if (mapped instanceof NotFoundError) return undefined
    throw mapped
  }
}

export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
}

/** The one place where file system errors become ours; anything else (an abort, a body's own error) stays what it is. */
export function fileError(error: unknown, context: StorageContext): unknown {
  const errno = error as NodeJS.ErrnoException
  if (error instanceof StorageError || !(error instanceof Error) || errno.syscall === undefined) return error
  const withCause = { ...context, cause: error }
  switch (errno.code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'EISDIR':
    case 'ELOOP':
    case 'ENXIO':
    case 'ENAMETOOLONG':
      return new NotFoundError(`no such file (${errno.code})`, withCause)
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new StorageError('PERMISSION_DENIED', errno.message, withCause)
    case 'EMFILE':
    case 'ENFILE':
    case 'EAGAIN':
    case 'EBUSY':
      return new StorageError('UNAVAILABLE', errno.message, withCause)
    default:
      return new StorageError('STORAGE', errno.message, withCause)
  }
}

/**
 * A lock between processes of one machine: a symbolic link, made in one step, whose target names its holder.
 *
 * Invariant: the section runs synchronously, so a lock is held for microseconds and never across a wait. A lock whose
 * holder is dead is broken; breakers exclude each other by a lock of the same kind, so none breaks its successor's.
 */
import fs from 'node:fs'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { type StorageContext, StorageError } from '../core/errors.ts'
import { errnoOf } from './file-io.ts'

const PATIENCE_MS = 10_000
const MAX_PAUSE_MS = 4

/** What this process writes into its locks: always the same, asked of the system once. */
let ownName: string | undefined

/** Runs `section` while `path` is ours. @throws StorageError UNAVAILABLE when a live holder keeps it for 10 s */
export async function withFileLock<T>(path: string, context: StorageContext, section: () => T): Promise<T> {
  ownName ??= holderOf(process.pid) ?? `${hostname()}:${process.pid}:`
  const self = ownName
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const attempt = tryLocked(path, self, section)
    if (attempt.held) return attempt.value
    if (performance.now() > deadline) {
      throw new StorageError('UNAVAILABLE', `${attempt.holder} holds the lock ${path} for too long`, context)
    }
    if (isDead(attempt.holder)) breakLock(path, attempt.holder, self)
    await sleep(Math.random() * MAX_PAUSE_MS)
  }
}

type Attempt<T> = { readonly held: true; readonly value: T } | { readonly held: false; readonly holder: string }

function tryLocked<T>(path: string, self: string, section: () => T): Attempt<T> {
  try {
    fs.symlinkSync(self, path)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    return { held: false, holder: readHolder(path) }
  }
  try {
    return { held: true, value: section() }
  } finally {
    fs.unlinkSync(path)
  }
}

function breakLock(path: string, holder: string, self: string): void {
  const breaker = `${path}.break`
  const attempt = tryLocked(breaker, self, () => {
    if (readHolder(path) === holder) fs.unlinkSync(path)
  })
  if (!attempt.held && isDead(attempt.holder)) breakLock(breaker, attempt.holder, self)
}

/** Empty when it was let go meanwhile. */
function readHolder(path: string): string {
  try {
    return fs.readlinkSync(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return ''
    throw error
  }
}

/** `host:pid:start`; the start tells a process from a later one of the same id. Undefined when there is none. */
function holderOf(pid: number): string | undefined {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
    // the name of the program, in parentheses, may hold spaces; the start time is the 20th field after it
    return `${hostname()}:${pid}:${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}

function isDead(holder: string): boolean {
  const [host, pid = '', start] = holder.split(':')
  if (host !== hostname() || !/^\d+$/.test(pid)) return false
  if (start !== '') return holderOf(Number(pid)) !== holder
  try {
    process.kill(Number(pid), 0)
    return false
  } catch (error) {
    return errnoOf(error) === 'ESRCH'
  }
}

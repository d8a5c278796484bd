/**
 * A worker as a process of its own. Frames travel over descriptors 3 (to it) and 4 (from it); its standard output and
 * error are pipes to us.
 *
 * The worker writes 4 with blocking writes, so what it reported is in the pipe before user code can end it; we read to
 * the end of 4 before `onExit`. It leads a process group of its own: a kill takes what it started with it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { ValidationError } from '../core/errors.ts'
import { encodeFrame, FrameDecoder } from './framing.ts'
import { killGroup } from './process-group.ts'
import { CHANNEL_IN, CHANNEL_OUT } from './protocol.ts'
import { inheritedFlags, loaderFlags, tsxLoader } from './spawn-options.ts'
import { workerEnv } from './worker-env.ts'
import type { Direct, LinkEvents, SpawnProfile, StartWorker, WorkerLink } from './worker-link.ts'

const STDERR_TAIL = 8_192

/** How long an ended worker's output is waited for: a process it left behind may hold the pipe open for ever. */
const OUTPUT_GRACE_MS = 100

/** How long a worker may take to leave when told to, or after it closed its channel. */
const LEAVE_GRACE_MS = 1_000

export interface WorkerProgram {
  /** Module that runs in the worker; TypeScript is loaded through tsx. */
  readonly entry: URL
  /** Added to the environment that workers inherit. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** How many share the machine; each is told its part of the processors. Default: one a processor. */
  readonly workers?: number | undefined
}

/** Starts processes of one program; a failure to start is an exit. @throws RecursionError, ValidationError */
export function processStarter(program: WorkerProgram): StartWorker {
  const inherited = inheritedFlags(process.execArgv)
  const env = workerEnv(program)
  const options = [env.NODE_OPTIONS ?? '', ...inherited]
  const flags = [...inherited, ...loaderFlags(program.entry, options, tsxLoader)]
  return (profile, events) => new ProcessLink(spawnWorker(program.entry, flags, env, profile), events)
}

function spawnWorker(entry: URL, flags: readonly string[], env: Record<string, string>, profile: SpawnProfile) {
  const limit = profile.memoryMiB === undefined ? [] : [`--max-old-space-size=${profile.memoryMiB}`]
  return spawn(process.execPath, [...flags, ...limit, fileURLToPath(entry)], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
    env,
    detached: process.platform !== 'win32',
    windowsHide: true,
  })
}

class ProcessLink implements WorkerLink {
  readonly pid: number | undefined
  readonly #child: ChildProcess
  readonly #events: LinkEvents
  readonly #input: Writable
  #corked = false
  #stderrTail = ''
  #error: Error | undefined
  #openStreams = 0
  #channelOpen = true
  #exit: { readonly code: number | null; readonly signal: string | null } | undefined
  #grace: NodeJS.Timeout | undefined
  #told = false

  constructor(child: ChildProcess, events: LinkEvents) {
    this.#child = child
    this.#events = events
    this.pid = child.pid
    this.#input = child.stdio[CHANNEL_IN] as Writable
    child.on('error', (error) => this.#failed(error))
    child.on('exit', (code, signal) => this.#exited(code, signal))
    this.#readChannel(child.stdio[CHANNEL_OUT] as Readable)
    this.#readOutput(child.stdout as Readable, 'stdout')
    this.#readOutput(child.stderr as Readable, 'stderr')
    // a worker that is gone says so by its exit; the failed write adds nothing
    this.#input.on('error', () => undefined)
    unrefHandle(child)
    for (const stream of child.stdio) unrefHandle(stream)
  }

  send(type: number, id: number, payload: Uint8Array, direct?: Direct): void {
    if (direct !== undefined) {
      throw new ValidationError('invoke: a value can be moved to a worker thread only; this worker is a process')
    }
    if (!this.#channelOpen || this.#input.destroyed || this.#input.writableEnded) return
    if (!this.#corked) {
      this.#corked = true
      this.#input.cork()
      process.nextTick(() => {
        this.#corked = false
        this.#input.uncork()
      })
    }
    for (const bytes of encodeFrame(type, id, payload)) this.#input.write(bytes)
  }

  kill(): void {
    if (this.pid === undefined || this.#exit !== undefined) return
    // not after `exit`: the number may belong to somebody else
    if (process.platform === 'win32' || !killGroup(this.pid)) this.#child.kill('SIGKILL')
  }

  retire(): void {
    this.#input.end()
    this.#killUnlessGone()
  }

  #readChannel(channel: Readable): void {
    const decoder = new FrameDecoder((type, id, payload) => this.#events.onFrame(type, id, payload))
    channel.on('data', (chunk: Uint8Array) => {
      if (this.#error !== undefined) return
      try {
        decoder.push(chunk)
      } catch (error) {
        this.#failed(error as Error)
        this.kill()
      }
    })
    this.#whenClosed(channel, () => {
      this.#channelOpen = false
      this.#killUnlessGone()
    })
  }

  #readOutput(stream: Readable, name: 'stdout' | 'stderr'): void {
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => {
      if (name === 'stderr') this.#stderrTail = (this.#stderrTail + text).slice(-STDERR_TAIL)
      this.#events.onOutput(text, name)
    })
    this.#whenClosed(stream, () => undefined)
  }

  #whenClosed(stream: Readable, then: () => void): void {
    this.#openStreams += 1
    stream.on('error', (error) => this.#failed(error))
    stream.on('close', () => {
      this.#openStreams -= 1
      then()
      this.#tellWhenOver()
    })
  }

  #failed(error: Error): void {
    this.#error ??= error
    // a process that never was has no exit to wait for
    if (this.pid === undefined) this.#exited(null, null)
  }

  #exited(code: number | null, signal: string | null): void {
    if (this.#exit !== undefined) return
    this.#exit = { code, signal }
    // what it started goes with it, also when it left by itself. At once: as long as one of them is there the number of
    // the group is not given to another
    if (this.pid !== undefined && process.platform !== 'win32') killGroup(this.pid)
    this.#grace = setTimeout(() => this.#tellWhenOver(true), OUTPUT_GRACE_MS)
    this.#tellWhenOver()
  }

  #tellWhenOver(graceOver = false): void {
    if (this.#told || this.#exit === undefined) return
    const drained = this.#openStreams === 0 || (graceOver && !this.#channelOpen)
    if (!drained && this.pid !== undefined) return
    this.#told = true
    clearTimeout(this.#grace)
    const { code, signal } = this.#exit
    this.#events.onExit({
      ...(code === null ? {} : { exitCode: code }),
      ...(signal === null ? {} : { signal }),
      ...(this.#error === undefined ? {} : { error: this.#error }),
      stderrTail: this.#stderrTail,
    })
  }

  #killUnlessGone(): void {
    if (this.#exit !== undefined) return
    const timer = setTimeout(() => this.kill(), LEAVE_GRACE_MS)
    timer.unref()
    this.#child.once('exit', () => clearTimeout(timer))
  }
}

function unrefHandle(handle: unknown): void {
  const { unref } = (handle ?? {}) as { unref?: () => void }
  unref?.call(handle)
}

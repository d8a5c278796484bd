/**
 * A worker as a thread of this process. Frames travel through ThreadChannel; its standard output and error are streams
 * to us. A thread that ends by an error nobody caught says so in its exit.
 *
 * A thread cannot be made to end while it is inside native code (a synchronous child process, an add-on): it is given up
 * after a while, and ends when that returns.
 */
import { MessageChannel, type ResourceLimits, Worker } from 'node:worker_threads'
import { LEAVE, NO_BYTES } from './protocol.ts'
import { createRing } from './ring.ts'
import { inheritedFlags, threadEntry, withoutRefused } from './spawn-options.ts'
import { ThreadChannel, type ThreadEnds } from './thread-channel.ts'
import { workerEnv } from './worker-env.ts'
import type { Direct, LinkEvents, SpawnProfile, StartWorker, WorkerExit, WorkerLink } from './worker-link.ts'

const STDERR_TAIL = 8_192

/** How long a thread may take to leave when told to. */
const LEAVE_GRACE_MS = 1_000

/** How long a thread that is being ended is waited for. */
const END_GRACE_MS = 2_000

/** How long the output of an ended thread is waited for. */
const OUTPUT_GRACE_MS = 100

export interface ThreadProgram {
  /** Module that runs in the thread; TypeScript is loaded through tsx. */
  readonly entry: URL
  /** Added to the environment, of which each thread has a copy. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** How many share the machine; each is told its part of the processors. Default: one a processor. */
  readonly workers?: number | undefined
  /** What debuggers and profilers call the thread. */
  readonly name?: string | undefined
}

/** Starts threads of one program; a failure to start is an exit. @throws RecursionError, ValidationError */
export function threadStarter(program: ThreadProgram): StartWorker {
  const env = workerEnv(program)
  const execArgv = inheritedFlags(process.execArgv)
  return (profile, events) => new ThreadLink(program, { env, execArgv, resourceLimits: limitsOf(profile) }, events)
}

function limitsOf({ memoryMiB }: SpawnProfile): ResourceLimits | undefined {
  return memoryMiB === undefined ? undefined : { maxOldGenerationSizeMb: memoryMiB }
}

interface ThreadSettings {
  readonly env: Record<string, string>
  readonly execArgv: string[]
  readonly resourceLimits: ResourceLimits | undefined
}

class ThreadLink implements WorkerLink {
  readonly pid = undefined
  readonly threadId: number | undefined
  readonly #events: LinkEvents
  readonly #worker: Worker | undefined
  readonly #channel: ThreadChannel
  #stderrTail = ''
  #error: Error | undefined
  #openStreams = 0
  #exitCode: number | undefined
  #grace: NodeJS.Timeout | undefined
  #told = false

  constructor(program: ThreadProgram, settings: ThreadSettings, events: LinkEvents) {
    this.#events = events
    const { port1, port2 } = new MessageChannel()
    const ends: ThreadEnds = { port: port2, toWorker: createRing(), toParent: createRing() }
    this.#channel = new ThreadChannel(port1, ends.toWorker, ends.toParent, events.onFrame)
    port1.unref()
    try {
      this.#worker = startThread(program, settings, ends)
    } catch (error) {
      this.#error = error as Error
      setImmediate(() => this.#exited(undefined))
      return
    }
    this.threadId = this.#worker.threadId
    this.#worker.on('error', (error: unknown) => {
      this.#error ??= error instanceof Error ? error : new Error(`thread ended by ${String(error)}`)
    })
    this.#worker.on('exit', (code) => this.#exited(code))
    this.#readOutput('stdout')
    this.#readOutput('stderr')
    this.#worker.unref()
  }

  send(type: number, id: number, payload: Uint8Array, direct?: Direct): void {
    if (this.#exitCode === undefined) this.#channel.send(type, id, payload, direct)
  }

  kill(): void {
    if (this.#worker === undefined || this.#exitCode !== undefined) return
    void this.#worker.terminate()
    this.#waitAtMost(END_GRACE_MS, () => {
      this.#error ??= new Error('the thread did not end: it is inside native code')
      this.#exited(undefined)
    })
  }

  retire(): void {
    this.send(LEAVE, 0, NO_BYTES)
    this.#waitAtMost(LEAVE_GRACE_MS, () => this.kill())
  }

  #readOutput(name: 'stdout' | 'stderr'): void {
    const stream = (this.#worker as Worker)[name]
    this.#openStreams += 1
    // by default it goes to our own; a thread that is told to leave it to us would hold the event loop while it is read
    stream.unpipe()
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => {
      if (name === 'stderr') this.#stderrTail = (this.#stderrTail + text).slice(-STDERR_TAIL)
      this.#events.onOutput(text, name)
    })
    stream.resume()
    stream.on('close', () => {
      this.#openStreams -= 1
      if (this.#exitCode !== undefined) this.#tellWhenOver()
    })
  }

  #waitAtMost(ms: number, then: () => void): void {
    clearTimeout(this.#grace)
    this.#grace = setTimeout(then, ms)
    this.#grace.unref()
  }

  #exited(code: number | undefined): void {
    if (this.#exitCode !== undefined) return
    this.#exitCode = code ?? 1
    this.#channel.poll()
    this.#channel.close()
    this.#waitAtMost(OUTPUT_GRACE_MS, () => this.#tellWhenOver(true))
    this.#tellWhenOver(code === undefined)
  }

  #tellWhenOver(now = false): void {
    if (this.#told || (this.#openStreams > 0 && !now)) return
    this.#told = true
    clearTimeout(this.#grace)
    const exit: WorkerExit = {
      ...(this.#error === undefined ? {} : { error: this.#error }),
      ...(this.#exitCode === undefined ? {} : { exitCode: this.#exitCode }),
      stderrTail: this.#stderrTail,
    }
    this.#events.onExit(exit)
  }
}

/** Only Node knows which of the process's flags a thread can have: it is asked by trying. */
function startThread(program: ThreadProgram, settings: ThreadSettings, ends: ThreadEnds): Worker {
  try {
    return newThread(program, settings, ends)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_WORKER_INVALID_EXEC_ARGV') throw error
    const execArgv = withoutRefused(settings.execArgv, (error as Error).message)
    return newThread(program, { ...settings, execArgv }, ends)
  }
}

function newThread(program: ThreadProgram, settings: ThreadSettings, ends: ThreadEnds): Worker {
  return new Worker(threadEntry(program.entry), {
    env: settings.env,
    execArgv: settings.execArgv,
    ...(settings.resourceLimits === undefined ? {} : { resourceLimits: settings.resourceLimits }),
    ...(program.name === undefined ? {} : { name: program.name }),
    workerData: ends,
    transferList: [ends.port],
  })
}

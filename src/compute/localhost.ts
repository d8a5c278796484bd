/**
 * Compute on this machine: workers from src/pool, as a ComputeBackend. Processes contain whatever calls do; threads start
 * faster, but native crashes and `process.kill` take the whole program with them.
 */
import { ValidationError, type WorkerActivity } from '../core/errors.ts'
import { MAX_PAYLOAD_BYTES } from '../pool/framing.ts'
import { WorkerPool } from '../pool/pool.ts'
import { processStarter } from '../pool/process-link.ts'
import { threadStarter } from '../pool/thread-link.ts'
import type { ComputeBackend, ComputeCapabilities, ComputeListener, Invocation, InvocationDeath } from './backend.ts'
import { RateDesk } from './rate-desk.ts'

export interface LocalhostComputeOptions {
  /** What runs invocations; `threads` is a backend of that name. Default `processes`. */
  readonly workers?: 'processes' | 'threads' | undefined
  /** Invocations at once. */
  readonly slots: number
  /** Invocations with `waits` beside those, in workers started when needed. */
  readonly waitingSlots: number
  /** The module that runs in each worker; TypeScript is loaded through tsx. */
  readonly workerEntry: URL
  /** First message of every worker (src/worker/startup.ts). May hold secrets: it travels over the channel only. */
  readonly startup: Uint8Array
  /** Heap limit of workers whose invocation names none. */
  readonly memoryMiB?: number | undefined
  /** Added to the workers' environment. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** A worker idle for so long leaves. Default: it stays. */
  readonly idleTimeoutMs?: number | undefined
}

/** Starts no process by itself: the first invocation, or `warm`, does. @throws ValidationError */
export function createLocalhostCompute(options: LocalhostComputeOptions): ComputeBackend {
  requireWhole('slots', options.slots, 1)
  requireWhole('waitingSlots', options.waitingSlots, 0)
  if (options.memoryMiB !== undefined) requireWhole('memoryMiB', options.memoryMiB, 1)
  return new LocalhostCompute(options)
}

class LocalhostCompute implements ComputeBackend {
  readonly name: string
  readonly reach = 'machine'
  readonly capabilities: ComputeCapabilities
  readonly #options: LocalhostComputeOptions
  #pool: WorkerPool | undefined

  constructor(options: LocalhostComputeOptions) {
    this.#options = options
    this.name = options.workers === 'threads' ? 'threads' : 'localhost'
    this.capabilities = {
      slots: options.slots,
      waitingSlots: options.waitingSlots,
      feeds: true,
      stopsRunning: true,
      idleCost: 'free',
      maxPayloadBytes: MAX_PAYLOAD_BYTES,
    }
  }

  listen(listener: ComputeListener): void {
    const { workers, workerEntry, env, ...options } = this.#options
    const program = { entry: workerEntry, env, workers: options.slots }
    const startWorker = workers === 'threads' ? threadStarter({ ...program, name: 'quern' }) : processStarter(program)
    const pool = new WorkerPool(
      { ...options, startWorker },
      {
        onMessage: (invocation, bytes) => listener.onMessage(invocation, bytes),
        // what cannot be sent is a direct value, and here are only bytes
        onEnd: (invocation, death) => listener.onEnd(invocation, death as InvocationDeath | undefined),
        onOutput: (text, stream) => listener.onOutput?.(text, stream),
        onWorkerStart: ({ id }) => desk.greet(id),
        onNews: (worker, bytes) => desk.take(worker, bytes, pool.counts.workers),
      },
    )
    const desk = new RateDesk((bytes, worker) => pool.tell(bytes, worker))
    this.#pool = pool
  }

  warm(memoryMiB = this.#options.memoryMiB, invocations = this.#options.slots): void {
    this.#started().warm(memoryMiB, invocations)
  }

  async invoke(invocation: Invocation): Promise<void> {
    const memoryMiB = invocation.memoryMiB ?? this.#options.memoryMiB
    this.#started().submit(memoryMiB === invocation.memoryMiB ? invocation : { ...invocation, memoryMiB })
  }

  send(invocation: number, bytes: Uint8Array): void {
    this.#pool?.send(invocation, bytes)
  }

  async stop(invocation: number): Promise<void> {
    await this.#pool?.stop(invocation)
  }

  activityOf(invocation: number, withinMs: number): WorkerActivity | undefined {
    return this.#pool?.activityOf(invocation, withinMs)
  }

  async close(): Promise<void> {
    await this.#pool?.close()
  }

  #started(): WorkerPool {
    if (this.#pool === undefined)
      throw new ValidationError(`${this.name} compute: listen() comes before the first invoke`)
    return this.#pool
  }
}

function requireWhole(option: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return
  throw new ValidationError(`localhost compute ${option}: expected a whole number from ${least}, got ${value}`)
}

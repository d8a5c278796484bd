/**
 * Compute in this very process: for debugging, tests, and stores that only this process sees (`memory://`).
 * It contains nothing: a function that exits or never returns takes the driver with it, and what it prints goes to the
 * terminal. `stop` keeps an invocation from starting; one that runs can only be told (`send`), not ended.
 */
import { ShutdownExecutorError, ValidationError } from '../core/errors.ts'
import type { ComputeBackend, ComputeCapabilities, ComputeListener, Invocation, InvocationDeath } from './backend.ts'

/** What an invocation talks to while it runs. */
export interface InlineChannel {
  report(bytes: Uint8Array): void
  /** What is fed, also what came before this was called. */
  onFeed(handler: (bytes: Uint8Array) => void): void
}

export type RunInline = (shared: Invocation['shared'], payload: Uint8Array, channel: InlineChannel) => Promise<void>

export interface InlineComputeOptions {
  /** Invocations at once, interleaved on one event loop. Default 1. */
  readonly slots?: number | undefined
  /** Invocations with `waits` beside those. Default 16. */
  readonly waitingSlots?: number | undefined
  /** Runs one payload; the same code as a worker's, handed over by a composition root. */
  readonly run: RunInline
}

export function createInlineCompute(options: InlineComputeOptions): ComputeBackend {
  return new InlineCompute(options.run, options.slots ?? 1, options.waitingSlots ?? 16)
}

interface Accepted {
  readonly invocation: Invocation
  readonly waits: boolean
  readonly fed: Uint8Array[]
  handler: ((bytes: Uint8Array) => void) | undefined
}

class InlineCompute implements ComputeBackend {
  readonly name = 'inline'
  readonly reach = 'process'
  readonly capabilities: ComputeCapabilities
  readonly #run: RunInline
  readonly #queue = new Map<number, Accepted>()
  readonly #running = new Map<number, Accepted>()
  #listener: ComputeListener | undefined
  #closed = false

  constructor(run: RunInline, slots: number, waitingSlots: number) {
    this.#run = run
    this.capabilities = {
      slots,
      waitingSlots,
      feeds: true,
      stopsRunning: false,
      idleCost: 'free',
      maxPayloadBytes: Number.MAX_SAFE_INTEGER,
    }
  }

  listen(listener: ComputeListener): void {
    this.#listener = listener
  }

  async invoke(invocation: Invocation): Promise<void> {
    if (this.#listener === undefined)
      throw new ValidationError('inline compute: listen() comes before the first invoke')
    if (this.#closed) throw new ShutdownExecutorError('invoke: inline compute was closed')
    const waits = invocation.waits === true && this.capabilities.waitingSlots > 0
    this.#queue.set(invocation.id, { invocation, waits, fed: [], handler: undefined })
    setImmediate(() => this.#startNext())
  }

  send(invocation: number, bytes: Uint8Array): void {
    const accepted = this.#running.get(invocation) ?? this.#queue.get(invocation)
    if (accepted?.handler === undefined) accepted?.fed.push(bytes)
    else accepted.handler(bytes)
  }

  async stop(invocation: number): Promise<void> {
    if (this.#queue.delete(invocation)) this.#listener?.onEnd(invocation, { reason: 'stopped' })
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const open = [...this.#queue.keys(), ...this.#running.keys()]
    this.#queue.clear()
    this.#running.clear()
    for (const id of open) this.#listener?.onEnd(id, { reason: 'closed' })
  }

  #startNext(): void {
    for (const accepted of this.#queue.values()) {
      if (!this.#hasRoom(accepted.waits)) continue
      const { id } = accepted.invocation
      this.#queue.delete(id)
      this.#running.set(id, accepted)
      void this.#perform(accepted)
    }
  }

  async #perform(running: Accepted): Promise<void> {
    const { id, shared, payload } = running.invocation
    let death: InvocationDeath | undefined
    try {
      await this.#run(shared, payload, {
        report: (bytes) => {
          if (this.#isOpen(id, running)) this.#listener?.onMessage(id, bytes)
        },
        onFeed: (handler) => {
          running.handler = handler
          for (const bytes of running.fed.splice(0)) handler(bytes)
        },
      })
    } catch (error) {
      death = { reason: 'exited', stderrTail: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    }
    if (!this.#isOpen(id, running)) return
    this.#running.delete(id)
    this.#listener?.onEnd(id, death)
    this.#startNext()
  }

  #isOpen(id: number, running: Accepted): boolean {
    return this.#running.get(id) === running
  }

  #hasRoom(waits: boolean): boolean {
    let taken = 0
    for (const other of this.#running.values()) if (other.waits === waits) taken += 1
    return taken < (waits ? this.capabilities.waitingSlots : this.capabilities.slots)
  }
}

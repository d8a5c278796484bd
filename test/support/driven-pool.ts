/** A pool of pool-worker-program.ts whose invocations are promises. */
import type { PoolDeath } from '../../src/pool/death.ts'
import type { PoolInvocation } from '../../src/pool/invocation.ts'
import { type PoolOptions, WorkerPool } from '../../src/pool/pool.ts'
import { processStarter } from '../../src/pool/process-link.ts'
import { threadStarter } from '../../src/pool/thread-link.ts'
import type { Order } from './pool-worker-program.ts'

const ENTRY = new URL('./pool-worker-program.ts', import.meta.url)

export interface Ran {
  readonly messages: string[]
  readonly directs: unknown[]
  death: PoolDeath | undefined
}

export class DrivenPool {
  readonly pool: WorkerPool
  readonly output: string[] = []
  readonly #open = new Map<number, { readonly ran: Ran; readonly end: (ran: Ran) => void }>()
  #next = 1

  constructor(kind: 'threads' | 'processes', options: Partial<PoolOptions> = {}, env?: Record<string, string>) {
    const program = { entry: ENTRY, env, workers: 1 }
    const startWorker = kind === 'threads' ? threadStarter(program) : processStarter(program)
    this.pool = new WorkerPool(
      { slots: 1, waitingSlots: 0, startup: new Uint8Array(0), startWorker, ...options },
      {
        onMessage: (id, bytes, direct) => {
          const ran = this.#open.get(id)?.ran
          ran?.messages.push(Buffer.from(bytes).toString())
          if (direct !== undefined) ran?.directs.push(direct)
        },
        onEnd: (id, death) => {
          const open = this.#open.get(id)
          if (open === undefined) throw new Error(`invocation ${id} ended twice`)
          this.#open.delete(id)
          open.ran.death = death
          open.end(open.ran)
        },
        onOutput: (text, stream) => this.output.push(`${stream}: ${text}`),
      },
    )
  }

  /** Throws what `submit` throws. */
  run(order: Order, more: Partial<PoolInvocation> = {}): Promise<Ran> {
    const id = this.#next++
    let end: (ran: Ran) => void = () => undefined
    const ended = new Promise<Ran>((resolve) => {
      end = resolve
    })
    const payload = Buffer.from(JSON.stringify(order))
    this.#open.set(id, { ran: { messages: [], directs: [], death: undefined }, end })
    try {
      this.pool.submit({ id, shared: { id: 's', bytes: new Uint8Array(0) }, payload, ...more })
    } catch (error) {
      this.#open.delete(id)
      throw error
    }
    return ended
  }
}

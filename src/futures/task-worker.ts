/**
 * A worker of an executor, process or thread: runs the tasks of one bundle after another, in the order they came, and
 * tells of each before it begins the next.
 *
 * - What a task throws, or returns and cannot travel, fails that task alone.
 * - An error that nobody caught fails the task that runs; the worker is then in no state to run another, and leaves.
 * - A failed initializer fails no start: the worker tells of it when it is first asked to run something.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { loadFunction } from '../functions/load-function.ts'
import type { ShippedFunction } from '../functions/shipped.ts'
import { DROP, END, FEED, INVOKE, MESSAGE, NO_BYTES, READY, RECYCLE, SHARED, START, USE } from '../pool/protocol.ts'
import { connectToParent, type ParentLink } from '../pool/worker-side.ts'
import { MessageReader } from './message-bytes.ts'
import { movableOf } from './move.ts'
import { decodeStartup, readTask, type TaskStartup } from './task-messages.ts'
import { isThenable } from './thenable.ts'
import { WorkerLimits } from './worker-limits.ts'
import {
  directMessage,
  errorMessage,
  grewMessage,
  resultMessage,
  returnedMessage,
  unfitMessage,
} from './worker-messages.ts'

/** After so long the event loop has its turn before the next task of a bundle. */
const TURN_MS = 5

type TaskFunction = (...args: readonly unknown[]) => unknown

/** A function, from when it is first needed. */
interface Loading {
  readonly bytes: Uint8Array
  fn?: TaskFunction
}

interface Arrived {
  readonly id: number
  readonly loading: Loading
  readonly payload: Uint8Array
  readonly direct: unknown
  /** A task of it has begun. */
  begun: boolean
  /** Its tasks were given back. */
  dropped: boolean
}

/** The current bundle, and how far it has been read. */
interface OpenBundle {
  readonly arrived: Arrived
  readonly reader: MessageReader
  /** When the event loop last had its turn. */
  turnMs: number
}

/** Serves the pool until it closes the channel. Call once, in the worker's entry. */
export function serveTasks(): void {
  const functions = new Map<number, Loading>()
  let worker: TaskWorker | undefined
  let loading: Loading | undefined
  const parent = connectToParent((type, id, payload, direct) => {
    if (type === INVOKE)
      worker?.invoke({ id, loading: loading as Loading, payload, direct, begun: false, dropped: false })
    else if (type === FEED) worker?.giveBack(id)
    else if (type === USE) loading = functions.get(id)
    else if (type === DROP) functions.delete(id)
    else if (type === SHARED) {
      loading = { bytes: payload }
      functions.set(id, loading)
    } else if (type === START) {
      worker = new TaskWorker(parent, decodeStartup(payload))
      void worker.begin()
    }
  })
  const fatal = (error: unknown) => leave(error, worker)
  process.on('uncaughtException', fatal)
  process.on('unhandledRejection', fatal)
}

class TaskWorker {
  readonly #parent: ParentLink
  readonly #startup: TaskStartup
  readonly #limits: WorkerLimits
  readonly #line: Arrived[] = []
  /** What the initializer threw. */
  #unfit: { readonly error: unknown } | undefined
  #current: Arrived | undefined
  /** A task of the current bundle has begun and not ended. */
  #running = false
  #startedMs = 0
  #serving = false
  #leaving = false

  constructor(parent: ParentLink, startup: TaskStartup) {
    this.#parent = parent
    this.#startup = startup
    this.#limits = new WorkerLimits(startup)
  }

  async begin(): Promise<void> {
    const { argv1, initializer, title } = this.#startup
    if (argv1 !== undefined) process.argv[1] = argv1
    if (title !== undefined) process.title = title
    try {
      if (initializer !== undefined) await (await loadTask(initializer.fn))(...initializer.args)
    } catch (error) {
      this.#unfit = { error }
    }
    this.#parent.send(READY, 0, NO_BYTES)
    this.#parent.flush()
  }

  invoke(arrived: Arrived): void {
    this.#line.push(arrived)
    if (!this.#serving) void this.#serve()
  }

  /** Gives back what has not begun, of this bundle and of those behind it. */
  giveBack(id: number): void {
    if (this.#current?.id !== id || this.#current.dropped) return
    for (const arrived of [this.#current, ...this.#line]) arrived.dropped = true
    this.#sendReturned(this.#line.map((arrived) => arrived.id))
    this.#parent.flush()
  }

  /**
   * Fails what runs with an error it did not catch, and gives back the rest. False when nothing runs. A bundle of which
   * nothing has begun is not given back: what its function does to a worker that loads it would be done to every worker.
   */
  fail(error: unknown): boolean {
    const running = this.#running
    if (this.#current?.begun !== true) return false
    if (running) this.#sendError(this.#current.id, error)
    this.#running = false
    if (!this.#current.dropped) this.#sendReturned([])
    this.#parent.flush()
    return running
  }

  /** A bundle whose tasks give no promise is run and ended at once: its last result and its end reach the driver together. */
  async #serve(): Promise<void> {
    this.#serving = true
    for (let next = this.#line.shift(); next !== undefined && !this.#leaving; next = this.#line.shift()) {
      this.#current = next
      const pending = this.#run(next)
      if (pending !== undefined) await pending
      this.#end(next.id)
    }
    this.#current = undefined
    this.#serving = false
  }

  #run(arrived: Arrived): Promise<void> | undefined {
    const { loading, payload } = arrived
    if (this.#unfit !== undefined) {
      this.#parent.send(MESSAGE, arrived.id, unfitMessage(this.#unfit.error))
      return undefined
    }
    const bundle = { arrived, reader: new MessageReader(payload), turnMs: performance.now() }
    if (loading.fn !== undefined) return this.#runTasks(bundle, loading.fn)
    return load(loading).then((fn) => this.#runTasks(bundle, fn))
  }

  #runTasks(bundle: OpenBundle, fn: TaskFunction): Promise<void> | undefined {
    const { arrived, reader } = bundle
    while (!reader.atEnd && !arrived.dropped) {
      if (performance.now() - bundle.turnMs > TURN_MS) return this.#turn(bundle, fn)
      if (this.#limits.reached) {
        this.#sendReturned([])
        return undefined
      }
      const pending = this.#runTask(bundle, fn)
      if (pending !== undefined) return pending.then(() => this.#runTasks(bundle, fn))
    }
    return undefined
  }

  async #turn(bundle: OpenBundle, fn: TaskFunction): Promise<void> {
    await nextTurn()
    bundle.turnMs = performance.now()
    await this.#runTasks(bundle, fn)
  }

  #runTask({ arrived, reader }: OpenBundle, fn: TaskFunction): Promise<void> | undefined {
    const { id, direct } = arrived
    arrived.begun = true
    this.#startedMs = performance.now()
    this.#running = true
    try {
      const result = fn(...readTask(reader, direct))
      if (isThenable(result)) return this.#settleLater(id, result)
      this.#sendResult(id, result)
    } catch (error) {
      this.#sendError(id, error)
    }
    this.#ended()
    return undefined
  }

  async #settleLater(id: number, promise: unknown): Promise<void> {
    try {
      this.#sendResult(id, await promise)
    } catch (error) {
      this.#sendError(id, error)
    }
    this.#ended()
  }

  #ended(): void {
    this.#running = false
    this.#limits.count()
  }

  #end(id: number): void {
    const grown = this.#limits.grown()
    if (grown !== undefined) this.#parent.send(MESSAGE, id, grewMessage(grown))
    this.#leaving = this.#limits.reached || grown !== undefined
    this.#parent.send(END, id, this.#leaving ? RECYCLE : NO_BYTES)
    this.#parent.flush()
  }

  #sendResult(id: number, result: unknown): void {
    const moved = movableOf(result)
    const ms = performance.now() - this.#startedMs
    this.#parent.send(MESSAGE, id, moved === undefined ? resultMessage(ms, result) : directMessage(ms), moved)
  }

  #sendError(id: number, error: unknown): void {
    this.#parent.send(MESSAGE, id, errorMessage(performance.now() - this.#startedMs, error))
  }

  #sendReturned(behind: readonly number[]): void {
    this.#parent.send(MESSAGE, (this.#current as Arrived).id, returnedMessage(this.#running, behind))
  }
}

/** A function that cannot be loaded fails each of its tasks. */
async function load(loading: Loading): Promise<TaskFunction> {
  try {
    const shipped = JSON.parse(Buffer.from(loading.bytes).toString()) as ShippedFunction
    loading.fn = await loadTask(shipped)
    return loading.fn
  } catch (error) {
    return () => {
      throw error
    }
  }
}

async function loadTask(shipped: ShippedFunction): Promise<TaskFunction> {
  return (await loadFunction(shipped)) as TaskFunction
}

function leave(error: unknown, worker: TaskWorker | undefined): never {
  if (worker?.fail(error) !== true) {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
  }
  process.exit(1)
}

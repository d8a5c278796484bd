/**
 * A FunctionExecutor as an executor of PEP 3148 (IPEP 19's bridge): each task is a call on its backend. Tasks of one
 * function that are submitted in one turn make one job.
 *
 * It does not own the workers: shutting it down waits for its own tasks, or cancels them, and ends nothing else.
 */
import { CallError, ValidationError } from '../core/errors.ts'
import { spreading } from '../functions/spread.ts'
import { BaseExecutor } from '../futures/base-executor.ts'
import type { StopOptions, Task } from '../futures/executor.ts'
import { asError, killedByShutdown } from '../futures/outcome.ts'
import { type SharedFunction, SharedFunctions } from '../futures/shared-functions.ts'
import type { FunctionExecutor } from './function-executor.ts'
import type { ResponseFuture } from './response-future.ts'

type ListFunction = (args: readonly unknown[]) => unknown

interface Open {
  readonly task: Task
  readonly fn: ListFunction
  /** Undefined until its job has been launched. */
  response: ResponseFuture<unknown> | undefined
}

export class CallExecutor extends BaseExecutor {
  readonly #jobs: Pick<FunctionExecutor, 'map'>
  readonly #open = new Map<Task['future'], Open>()
  readonly #functions = new SharedFunctions()
  readonly #lists = new WeakMap<SharedFunction, ListFunction>()
  #gathered: Open[] = []
  #stopping = false
  #whenEmpty: (() => void)[] = []

  constructor(jobs: Pick<FunctionExecutor, 'map'>) {
    super()
    this.#jobs = jobs
  }

  protected override accept(task: Task): void {
    if (task.priority !== 0) throw refused('priority', task.priority)
    if (task.transfer !== undefined) throw refused('transfer', 'a list')
    const open: Open = { task, fn: this.#listFunction(task.fn), response: undefined }
    this.#open.set(task.future, open)
    if (this.#gathered.push(open) === 1) queueMicrotask(() => this.#launch())
  }

  protected override withdrawn(future: Task['future']): void {
    // a call that was sent counts as running for its job, though it may not have begun
    this.#open.get(future)?.response?.cancel({ running: true })
    this.#close(future)
  }

  protected override interrupt({ future }: Task): void {
    this.#open.get(future)?.response?.cancel({ running: true })
  }

  protected override get backlog(): number {
    let waiting = 0
    for (const future of this.#open.keys()) if (!future.running()) waiting += 1
    return waiting
  }

  protected override async stop({ cancelFutures, killWorkers }: StopOptions): Promise<void> {
    this.#stopping = true
    for (const { task, response } of [...this.#open.values()]) {
      const { future } = task
      if (killWorkers) {
        if (!future.done()) future.setException(killedByShutdown())
        response?.cancel({ running: true })
      } else if (cancelFutures) future.cancel()
    }
    if (this.#open.size > 0) await new Promise<void>((resolve) => this.#whenEmpty.push(resolve))
  }

  protected override get stopped(): boolean {
    return this.#stopping && this.#open.size === 0
  }

  /** The same for the same content: what a function closes over may have changed since it was submitted last. */
  #listFunction(fn: Task['fn']): ListFunction {
    const shared = this.#functions.of(fn)
    const known = this.#lists.get(shared)
    if (known !== undefined) return known
    const list = spreading(fn, shared.shipped)
    this.#lists.set(shared, list)
    return list
  }

  #launch(): void {
    for (const [fn, opens] of groupByFunction(this.#gathered.splice(0))) {
      try {
        const job = this.#jobs.map(
          fn,
          opens.map(({ task }) => task.args),
          { showProgressbar: false },
        )
        job.futures().then(
          (responses) => this.#begun(opens, responses),
          (error) => this.#failAll(opens, error),
        )
      } catch (error) {
        this.#failAll(opens, error)
      }
    }
  }

  #begun(opens: readonly Open[], responses: readonly ResponseFuture<unknown>[]): void {
    for (const [i, open] of opens.entries()) {
      const response = responses[i] as ResponseFuture<unknown>
      const { future } = open.task
      open.response = response
      if (future.done()) response.cancel({ running: true })
      response.whenRunning(() => begin(future))
      response.addDoneCallback(() => void this.#ended(future, response))
    }
  }

  async #ended(future: Task['future'], response: ResponseFuture<unknown>): Promise<void> {
    try {
      const value = await response.result()
      if (begin(future)) future.setResult(value)
    } catch (error) {
      const own = error instanceof CallError && error.cause !== undefined ? error.cause : error
      if (response.cancelled()) future.abort(error)
      else if (begin(future)) future.setException(asError(own))
    } finally {
      this.#close(future)
    }
  }

  #failAll(opens: readonly Open[], error: unknown): void {
    for (const { task } of opens) {
      if (begin(task.future)) task.future.setException(asError(error))
      this.#close(task.future)
    }
  }

  #close(future: Task['future']): void {
    this.#open.delete(future)
    if (this.#open.size > 0) return
    for (const resolve of this.#whenEmpty.splice(0)) resolve()
  }
}

/** Without those that were cancelled meanwhile. */
function groupByFunction(opens: readonly Open[]): Map<ListFunction, Open[]> {
  const groups = new Map<ListFunction, Open[]>()
  for (const open of opens) {
    if (open.task.future.done()) continue
    const group = groups.get(open.fn)
    if (group === undefined) groups.set(open.fn, [open])
    else group.push(open)
  }
  return groups
}

/** False when it is over already. */
function begin(future: Task['future']): boolean {
  if (future.done()) return false
  return future.running() || future.setRunningOrNotifyCancel()
}

function refused(option: string, value: unknown): ValidationError {
  return new ValidationError(
    `submit options.${option}: the calls of a FunctionExecutor have none; expected it to be left out, got ${value}`,
  )
}

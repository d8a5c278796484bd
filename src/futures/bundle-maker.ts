/**
 * Takes tasks off the line and writes them down for one worker: as many as may travel together, encoded only now. A task
 * that was cancelled is left out; one that cannot travel fails, alone.
 */
import type { PoolInvocation } from '../pool/invocation.ts'
import { Bundle, settle } from './bundle.ts'
import { bundleSize, isShort } from './bundling.ts'
import type { Task } from './executor.ts'
import { MessageWriter } from './message-bytes.ts'
import { writeDirectTask, writeTask } from './task-messages.ts'
import type { Entry, TaskQueue } from './task-queue.ts'

/** A bundle that has grown so large takes no further task. */
const MAX_BUNDLE_BYTES = 262_144

export interface MadeBundle {
  readonly bundle: Bundle
  readonly invocation: PoolInvocation
}

export class BundleMaker {
  readonly #queue: TaskQueue
  readonly #writer = new MessageWriter()
  #lastId = 0

  constructor(queue: TaskQueue) {
    this.#queue = queue
  }

  /** The bundle that begins with `first`, the front of the line; undefined when nothing of it is left to run. */
  make(first: Entry, workers: number): MadeBundle | undefined {
    const alone = first.chunk !== undefined || isAlone(first.task) || !isShort(first.shared.pace)
    const entries = this.#take(first, workers)
    const payload = this.#writer.take()
    if (entries.length === 0) return undefined
    const bundle = new Bundle(++this.#lastId, entries, !alone)
    const { transfer, args } = first.task
    const direct = transfer === undefined ? undefined : { value: args, transfer }
    return { bundle, invocation: { id: bundle.id, shared: first.shared, payload, direct, alone } }
  }

  #take(first: Entry, workers: number): Entry[] {
    const size = sizeOf(first, this.#queue.size, workers)
    const entries: Entry[] = []
    for (let next: Entry | undefined = first; next !== undefined; next = this.#queue.peek()) {
      if (next.shared !== first.shared || next.chunk !== first.chunk || (next !== first && isAlone(next.task))) break
      if (entries.length >= size || this.#writer.length > MAX_BUNDLE_BYTES) break
      this.#queue.shift()
      if (this.#write(next)) entries.push(next)
    }
    return entries
  }

  #write(entry: Entry): boolean {
    const { task } = entry
    if (entry.begun ? task.future.done() : !task.future.setRunningOrNotifyCancel()) return false
    entry.begun = true
    try {
      if (task.transfer === undefined) writeTask(this.#writer, task.args)
      else writeDirectTask(this.#writer)
      return true
    } catch (error) {
      settle(task, { error: error as Error })
      return false
    }
  }
}

function sizeOf({ task, chunk, shared }: Entry, queued: number, workers: number): number {
  if (isAlone(task)) return 1
  return chunk === undefined ? bundleSize(shared.pace, queued, workers) : Number.POSITIVE_INFINITY
}

/** It is stopped by ending its worker, or gives away what no other worker could be given again. */
function isAlone({ signal, transfer }: Task): boolean {
  return signal !== undefined || transfer !== undefined
}

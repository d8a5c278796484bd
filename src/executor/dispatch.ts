/**
 * What takes the free slots: queued calls of maps, job by job; then reducers, in slots that no map wants; then backups of
 * stragglers, in what is left even then. Every slot that is given away is an `invoke`.
 */
import { MinHeap } from '../futures/min-heap.ts'
import type { Demand, JobCalls, Taken } from './calls.ts'
import type { Deadlines } from './deadlines.ts'
import type { Invocations, RunningInvocation } from './invocations.ts'
import type { ReduceStarts } from './reduce-starts.ts'
import type { SchedulerCommand } from './scheduler-protocol.ts'
import { stragglerMs } from './stragglers.ts'

export interface Board {
  readonly slots: number
  readonly running: Invocations
  readonly reduces: ReduceStarts
  readonly deadlines: Deadlines
  readonly demand: Demand
  emit(command: SchedulerCommand): void
}

export class Dispatch {
  readonly #board: Board
  /** Map jobs with queued calls, and others that had. */
  readonly #line = new MinHeap<JobCalls>((a, b) => a.order < b.order)
  readonly #inLine = new Set<JobCalls>()
  /** Jobs with `speculate`. */
  readonly #speculating = new Set<JobCalls>()

  constructor(board: Board) {
    this.#board = board
  }

  /** Calls of it may be queued. */
  enter(calls: JobCalls): void {
    if (calls.job.speculate !== undefined) this.#speculating.add(calls)
    if (calls.job.reduces !== undefined || this.#inLine.has(calls)) return
    this.#inLine.add(calls)
    this.#line.push(calls)
  }

  /** All its calls have ended. */
  leave(calls: JobCalls): void {
    this.#speculating.delete(calls)
  }

  run(nowMs: number): void {
    this.#sendMaps(nowMs)
    if (this.#board.reduces.eager) this.#startReducers(nowMs)
    if (this.#speculating.size > 0) this.#backUp(nowMs)
  }

  get #spare(): number {
    return this.#board.running.freeSlots - this.#board.demand.wanting
  }

  #sendMaps(nowMs: number): void {
    const { running, slots } = this.#board
    while (running.freeSlots > 0) {
      const calls = this.#line.peek()
      if (calls === undefined) return
      if (calls.queued > 0) {
        const size = calls.job.chunksize ?? calls.chunking.next(calls.queued, slots)
        this.#invoke(calls, calls.take(size), false, nowMs)
      } else {
        this.#line.pop()
        this.#inLine.delete(calls)
      }
    }
  }

  #startReducers(nowMs: number): void {
    const { running, reduces, demand } = this.#board
    const slots = () => {
      return { free: running.freeSlots, wantedByMaps: demand.wanting, waitingFree: running.freeWaitingSlots }
    }
    for (const { calls, starts } of reduces.take(slots)) {
      for (const { group, waits } of starts) {
        const memoryMiB = calls.troubles.memoryMiB(group)
        this.#invoke(calls, { tries: [calls.send(group)], memoryMiB }, waits, nowMs)
      }
    }
  }

  #backUp(nowMs: number): void {
    if (this.#spare <= 0) return
    const late = [...this.#board.running.all()].flatMap((each) => {
      const overMs = this.#overMs(each, nowMs)
      return overMs === undefined ? [] : [{ calls: each.calls, call: each.started?.call as number, overMs }]
    })
    late.sort((a, b) => b.overMs - a.overMs)
    for (const { calls, call } of late.slice(0, this.#spare)) {
      const memoryMiB = calls.troubles.memoryMiB(call)
      this.#invoke(calls, { tries: [calls.nextTry(call)], memoryMiB }, false, nowMs)
    }
  }

  /** By how much the call that it runs is late, ms; undefined for one that is not, or that may have no backup. */
  #overMs({ calls, started, stopping }: RunningInvocation, nowMs: number): number | undefined {
    const { speculate, retries } = calls.job
    if (speculate === undefined || started?.sinceMs === undefined || stopping) return undefined
    const { call, sinceMs } = started
    if (calls.isEnded(call)) return undefined
    // a call whose tries are used up gets no more of them
    if (calls.holders(call).length > 1 || calls.troubles.failures(call) >= (retries?.attempts ?? 1)) return undefined
    const tookMs = nowMs - sinceMs
    const limitMs = stragglerMs(speculate, calls.count - calls.restored, calls.took, tookMs)
    if (limitMs === undefined) return undefined
    if (tookMs > limitMs) return tookMs - limitMs
    this.#board.deadlines.wakeAt(sinceMs + limitMs + 1)
    return undefined
  }

  #invoke(calls: JobCalls, { tries, memoryMiB }: Taken, waits: boolean, nowMs: number): void {
    const { id } = this.#board.running.add(calls, tries, waits, nowMs)
    this.#board.emit({ type: 'invoke', invocation: id, job: calls.job.id, calls: tries, waits, memoryMiB })
  }
}

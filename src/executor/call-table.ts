/**
 * What is known of each call of a job, in columns, so that a job of a million calls needs no million objects: objects are
 * made of it when somebody asks. In pages: of calls that ended long ago, all but some bytes lie in a file.
 */
import type { WorkerStats } from '../monitor/monitor.ts'
import { CallPage, type PageColumns } from './call-page.ts'
import { SpillFile } from './spill-file.ts'

/** Where a call stands, by PEP 3148's words. */
export type CallStanding = 'pending' | 'running' | 'succeeded' | 'failed' | 'cancelled'

const STANDINGS: readonly CallStanding[] = ['pending', 'running', 'succeeded', 'failed', 'cancelled']
const RUNNING = STANDINGS.indexOf('running')

export interface CallFacts {
  readonly attempts: number
  /** Bytes of the encoded item. */
  readonly dataBytes: number | undefined
  /** Epoch ms, as are all times here. */
  readonly sentAt: number | undefined
  readonly startedAt: number | undefined
  readonly endedAt: number | undefined
  readonly readAt: number | undefined
  readonly worker: WorkerStats | undefined
}

/** How many numbers `times` gives of a call. */
export const TIMES = 4

/** Calls of a page; of the first, where the job begins with fewer, so many. */
export const PAGE_CALLS = 4_096
/** Pages whose calls have all ended that stay in memory: 10 MiB of them. */
const PAGES_KEPT = 16

export class CallTable {
  #count = 0
  readonly #first: CallPage[] = []
  /** What comes behind the first page; nothing is copied when more comes. */
  readonly #pages: CallPage[] = []
  /** Pages in memory that change no more, the one looked at last behind the others. */
  #still: CallPage[] = []
  readonly #file: SpillFile
  /** Calls in the order in which they ended. */
  #endings = new Uint32Array(0)
  #ended = 0
  readonly #errors = new Map<number, Error>()
  readonly #logs = new Map<number, string[]>()

  /** `file`: for what is not held in memory. */
  constructor(file = new SpillFile()) {
    this.#file = file
  }

  get count(): number {
    return this.#count
  }

  /** How many have ended. */
  get ended(): number {
    return this.#ended
  }

  append(added: number): void {
    this.#count += added
    if (this.#first.length === 0) this.#first.push(new CallPage(0, Math.min(added, PAGE_CALLS)))
    const { length } = this.#first[0] as CallPage
    for (;;) {
      const held = length + this.#pages.length * PAGE_CALLS
      if (held >= this.#count) break
      this.#pages.push(new CallPage(held, PAGE_CALLS))
    }
    if (this.#count <= this.#endings.length) return
    const endings = new Uint32Array(
      this.#endings.length === 0 ? added : Math.max(this.#count, 2 * this.#endings.length),
    )
    endings.set(this.#endings)
    this.#endings = endings
  }

  sent(call: number, at: number, dataBytes: number | undefined): void {
    const page = this.#page(call)
    const columns = page.columns(this.#file)
    columns.sentAt[call - page.from] = at
    if (dataBytes !== undefined) columns.dataBytes[call - page.from] = dataBytes + 1
  }

  /** False when it runs already: another attempt of it has started. */
  started(call: number, at: number): boolean {
    const page = this.#page(call)
    page.columns(this.#file).startedAt[call - page.from] = at
    if (page.standing[call - page.from] === RUNNING) return false
    page.standing[call - page.from] = RUNNING
    return true
  }

  /** What is known of the call changes no more, but for when it is read. */
  end(call: number, standing: 'succeeded' | 'failed' | 'cancelled', at: number, error?: Error): void {
    const page = this.#page(call)
    page.columns(this.#file).endedAt[call - page.from] = at
    page.standing[call - page.from] = STANDINGS.indexOf(standing)
    this.#endings[this.#ended++] = call
    if (error !== undefined) this.#errors.set(call, error)
    page.unended -= 1
    if (page.unended === 0) this.#keep(page)
  }

  measured(call: number, attempts: number, worker: WorkerStats | undefined): void {
    const page = this.#page(call)
    const columns = page.columns(this.#file)
    columns.attempts[call - page.from] = attempts
    if (worker !== undefined) columns.worker.set(call - page.from, worker)
  }

  /** False when it was read before. */
  read(call: number, at: number): boolean {
    const page = this.#page(call)
    if (page.readAt[call - page.from] !== 0) return false
    page.readAt[call - page.from] = at
    return true
  }

  isDone(call: number): boolean {
    return this.#standing(call) > RUNNING
  }

  standing(call: number): CallStanding {
    return STANDINGS[this.#standing(call)] as CallStanding
  }

  /** The call that ended as the `place`th, from 0. */
  ending(place: number): number {
    return this.#endings[place] as number
  }

  error(call: number): Error | undefined {
    return this.#errors.get(call)
  }

  /** Calls that failed or were cancelled, in order. */
  *unsuccessful(): Iterable<number> {
    for (let call = 0; call < this.#count; call++) {
      const standing = this.standing(call)
      if (standing === 'failed' || standing === 'cancelled') yield call
    }
  }

  addLog(call: number, text: string): void {
    const log = this.#logs.get(call)
    if (log === undefined) this.#logs.set(call, [text])
    else log.push(text)
  }

  log(call: number): string {
    return (this.#logs.get(call) ?? []).join('')
  }

  /**
   * When each call from this one on was sent, started, ended and read, epoch ms: TIMES numbers of each, NaN where it is
   * not known. Start and end are by the worker's clock where it told.
   */
  times(first: number): Float64Array {
    const times = new Float64Array(TIMES * (this.#count - first))
    for (let call = first, at = 0; call < this.#count; ) {
      const page = this.#page(call)
      const { from, length, readAt } = page
      const { sentAt, startedAt, endedAt, worker } = this.#look(page)
      for (const end = Math.min(this.#count, from + length); call < end; call++, at += TIMES) {
        const row = call - from
        times[at] = sentAt[row] || Number.NaN
        times[at + 1] = worker.number(row, 'startedAt') ?? (startedAt[row] || Number.NaN)
        times[at + 2] = worker.number(row, 'endedAt') ?? (endedAt[row] || Number.NaN)
        times[at + 3] = readAt[row] || Number.NaN
      }
    }
    return times
  }

  facts(call: number): CallFacts {
    const page = this.#page(call)
    const { dataBytes, attempts, worker } = this.#look(page)
    const row = call - page.from
    const bytes = dataBytes[row] || undefined
    return {
      attempts: attempts[row] ?? 0,
      dataBytes: bytes === undefined ? undefined : bytes - 1,
      ...this.#timesOf(page, row),
      worker: worker.get(row),
    }
  }

  #timesOf(page: CallPage, row: number): Pick<CallFacts, 'sentAt' | 'startedAt' | 'endedAt' | 'readAt'> {
    const { sentAt, startedAt, endedAt } = this.#look(page)
    return {
      sentAt: sentAt[row] || undefined,
      startedAt: startedAt[row] || undefined,
      endedAt: endedAt[row] || undefined,
      readAt: page.readAt[row] || undefined,
    }
  }

  #standing(call: number): number {
    const page = this.#page(call)
    return page.standing[call - page.from] ?? 0
  }

  #page(call: number): CallPage {
    const first = this.#first[0] as CallPage
    if (call < first.length) return first
    return this.#pages[Math.floor((call - first.length) / PAGE_CALLS)] ?? first
  }

  /** The columns of a page, which stays in memory for a while where it lay in the file. */
  #look(page: CallPage): PageColumns {
    if (!page.isHere) this.#keep(page)
    return page.columns(this.#file)
  }

  #keep(page: CallPage): void {
    this.#still.push(page)
    if (this.#still.length > PAGES_KEPT) this.#still.shift()?.spill(this.#file)
  }
}

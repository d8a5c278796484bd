/**
 * What is known of each call of a job, in columns: a call costs some 200 bytes outside the heap however it ends, so that
 * a job of a million calls needs no million objects. Objects are made of it when somebody asks.
 */
import type { WorkerStats } from '../monitor/monitor.ts'
import { StatsColumns } from './stats-columns.ts'

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

export interface CallMoments extends Pick<CallFacts, 'sentAt' | 'startedAt' | 'endedAt' | 'readAt'> {
  readonly workerStartedAt: number | undefined
  readonly workerEndedAt: number | undefined
}

const TIMES = ['sentAt', 'startedAt', 'endedAt', 'readAt'] as const

export class CallTable {
  #count = 0
  #standing = new Uint8Array(0)
  #attempts = new Uint16Array(0)
  /** 0: unknown. Memory that nobody writes to is not taken from the system. */
  readonly #times: Record<(typeof TIMES)[number], Float64Array> = {
    sentAt: new Float64Array(0),
    startedAt: new Float64Array(0),
    endedAt: new Float64Array(0),
    readAt: new Float64Array(0),
  }
  /** One more than the bytes; 0: unknown. */
  #dataBytes = new Float64Array(0)
  /** Calls in the order in which they ended. */
  #endings = new Uint32Array(0)
  #ended = 0
  readonly #worker = new StatsColumns()
  readonly #errors = new Map<number, Error>()
  readonly #logs = new Map<number, string[]>()

  get count(): number {
    return this.#count
  }

  /** How many have ended. */
  get ended(): number {
    return this.#ended
  }

  append(added: number): void {
    this.#count += added
    const held = this.#standing.length
    if (this.#count <= held) return
    // as many as a job has at first, twice as many when it is divided
    const capacity = held === 0 ? this.#count : Math.max(this.#count, 2 * held)
    this.#standing = grown(Uint8Array, this.#standing, capacity)
    this.#attempts = grown(Uint16Array, this.#attempts, capacity)
    this.#dataBytes = grown(Float64Array, this.#dataBytes, capacity)
    this.#endings = grown(Uint32Array, this.#endings, capacity)
    for (const name of TIMES) this.#times[name] = grown(Float64Array, this.#times[name], capacity)
    this.#worker.resize(capacity)
  }

  sent(call: number, at: number, dataBytes: number | undefined): void {
    this.#times.sentAt[call] = at
    if (dataBytes !== undefined) this.#dataBytes[call] = dataBytes + 1
  }

  /** False when it runs already: another attempt of it has started. */
  started(call: number, at: number): boolean {
    this.#times.startedAt[call] = at
    if (this.#standing[call] === RUNNING) return false
    this.#standing[call] = RUNNING
    return true
  }

  end(call: number, standing: 'succeeded' | 'failed' | 'cancelled', at: number, error?: Error): void {
    this.#standing[call] = STANDINGS.indexOf(standing)
    this.#times.endedAt[call] = at
    this.#endings[this.#ended++] = call
    if (error !== undefined) this.#errors.set(call, error)
  }

  measured(call: number, attempts: number, worker: WorkerStats | undefined): void {
    this.#attempts[call] = attempts
    if (worker !== undefined) this.#worker.set(call, worker)
  }

  /** False when it was read before. */
  read(call: number, at: number): boolean {
    if (this.#times.readAt[call] !== 0) return false
    this.#times.readAt[call] = at
    return true
  }

  isDone(call: number): boolean {
    return (this.#standing[call] ?? 0) > RUNNING
  }

  standing(call: number): CallStanding {
    return STANDINGS[this.#standing[call] ?? 0] as CallStanding
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

  /** Its times alone, the worker's by the worker's clock. */
  moments(call: number): CallMoments {
    const { sentAt, startedAt, endedAt, readAt } = this.#times
    return {
      sentAt: sentAt[call] || undefined,
      startedAt: startedAt[call] || undefined,
      endedAt: endedAt[call] || undefined,
      readAt: readAt[call] || undefined,
      workerStartedAt: this.#worker.number(call, 'startedAt'),
      workerEndedAt: this.#worker.number(call, 'endedAt'),
    }
  }

  facts(call: number): CallFacts {
    const [sentAt, startedAt, endedAt, readAt] = TIMES.map((name) => this.#times[name][call] || undefined)
    const dataBytes = this.#dataBytes[call] || undefined
    return {
      attempts: this.#attempts[call] ?? 0,
      dataBytes: dataBytes === undefined ? undefined : dataBytes - 1,
      ...{ sentAt, startedAt, endedAt, readAt },
      worker: this.#worker.get(call),
    }
  }
}

type Column = Uint8Array | Uint16Array | Uint32Array | Float64Array

function grown<A extends Column>(type: new (length: number) => A, column: A, length: number): A {
  const larger = new type(length)
  larger.set(column)
  return larger
}

/**
 * Who drives a job: one object in its journal, replaced only by who knows its version. It says who the driver is, in
 * which epoch, and in the end how the job ended, so that a driver whose job was taken over can neither renew nor end it:
 * it is fenced, and learns so at its next word.
 *
 * Time is an argument. Nothing here waits or sets a timer: src/executor/durable.ts renews.
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { driverFile } from './keys.ts'
import { type JournalPlace, jsonBytes, putOnce, readJson, replaceVersion } from './place.ts'

/** How often a driver renews, and how long after the last renewal it counts as gone. */
export const LEASE_RENEW_MS = 10_000
export const LEASE_MS = 60_000

export type EndState = 'succeeded' | 'failed' | 'interrupted'

/** Epoch ms by the driver's clock. */
export interface DriverRecord {
  readonly version: 1
  /** 1 for the driver that made the job; one more at each resume. */
  readonly epoch: number
  /** Differs at each writing. */
  readonly nonce: string
  readonly host: string
  readonly pid: number
  readonly renewedAt: number
  /** How often new code was taken, and how often changed objects were planned anew. */
  readonly code: number
  readonly replan: number
  /** Absent while it is driven. */
  readonly ended?: JobEnd | undefined
}

export interface JobEnd {
  readonly state: EndState
  readonly at: number
  readonly error?: string | undefined
  /** Records that were set aside. */
  readonly quarantined?: number | undefined
}

export type Generations = Pick<DriverRecord, 'code' | 'replan'>

export const FIRST: Generations = { code: 0, replan: 0 }

export class DriverLease {
  readonly #place: JournalPlace
  readonly #key: string
  #record: DriverRecord
  #etag: string
  #lost = false
  #last: Promise<unknown> = Promise.resolve()

  private constructor(place: JournalPlace, key: string, record: DriverRecord, etag: string) {
    this.#place = place
    this.#key = key
    this.#record = record
    this.#etag = etag
  }

  /** The lease of a new job; undefined when it has a driver already. */
  static async create(place: JournalPlace, name: string, nowMs: number): Promise<DriverLease | undefined> {
    const record = recordOf(1, FIRST, nowMs)
    const key = driverFile(name)
    const put = await putOnce(place, key, jsonBytes(record))
    return put.won ? new DriverLease(place, key, record, put.etag) : undefined
  }

  /**
   * Takes the job over from whoever drives it; undefined when somebody else was faster. What its driver says meanwhile
   * (that it lives, that it has ended) keeps nobody from it.
   */
  static async take(
    place: JournalPlace,
    name: string,
    current: DriverVersion,
    generations: Generations,
    nowMs: number,
  ): Promise<DriverLease | undefined> {
    const { epoch } = current.record
    const record = recordOf(epoch + 1, generations, nowMs)
    const key = driverFile(name)
    let seen: DriverVersion | undefined = current
    while (seen?.record.epoch === epoch) {
      const etag = await replaceVersion(place, key, seen.etag, jsonBytes(record))
      if (etag !== undefined) return new DriverLease(place, key, record, etag)
      seen = await readDriver(place, name)
    }
    return undefined
  }

  get epoch(): number {
    return this.#record.epoch
  }

  /** False once somebody else was seen to have taken the job. */
  get held(): boolean {
    return !this.#lost
  }

  /** Says that this driver lives. False when the job was taken over: nothing was written. */
  renew(nowMs: number): Promise<boolean> {
    return this.#write((record) => ({ ...record, renewedAt: nowMs }))
  }

  /** Says how the job ended, the last word of this driver. False when the job was taken over: nothing was written. */
  end(state: EndState, nowMs: number, error?: string, quarantined?: number): Promise<boolean> {
    return this.#write((record) => ({ ...record, renewedAt: nowMs, ended: { state, at: nowMs, error, quarantined } }))
  }

  /** One after the other: each replaces the version that the one before has made. */
  #write(change: (record: DriverRecord) => DriverRecord): Promise<boolean> {
    const written = this.#last.then(async () => {
      if (this.#lost) return false
      const record = { ...change(this.#record), nonce: nonce() }
      const etag = await this.#replace(jsonBytes(record))
      this.#lost = etag === undefined
      if (etag === undefined) return false
      this.#record = record
      this.#etag = etag
      return true
    })
    this.#last = written.catch(() => undefined)
    return written
  }

  /** A write that was given up may still be done, late: of this epoch, the version that is found is this driver's own. */
  async #replace(bytes: Uint8Array): Promise<string | undefined> {
    for (;;) {
      const etag = await replaceVersion(this.#place, this.#key, this.#etag, bytes)
      if (etag !== undefined) return etag
      const now = await readJson<DriverRecord>(this.#place, this.#key)
      if (now?.value.epoch !== this.#record.epoch || now.etag === this.#etag) return undefined
      this.#etag = now.etag
    }
  }
}

export interface DriverVersion {
  readonly record: DriverRecord
  readonly etag: string
}

/** Undefined when the job never had a driver: it had not begun. */
export async function readDriver(place: JournalPlace, name: string): Promise<DriverVersion | undefined> {
  const found = await readJson<DriverRecord>(place, driverFile(name))
  return found === undefined ? undefined : { record: found.value, etag: found.etag }
}

/** What a lease says about its driver's life. `isRunning` answers for processes of this host. */
export function isDriven(record: DriverRecord, nowMs: number, isRunning: (pid: number) => boolean): boolean {
  if (record.ended !== undefined) return false
  if (record.host === hostname() && !isRunning(record.pid)) return false
  return nowMs - record.renewedAt < LEASE_MS
}

function recordOf(epoch: number, { code, replan }: Generations, renewedAt: number): DriverRecord {
  return { version: 1, epoch, nonce: nonce(), host: hostname(), pid: process.pid, renewedAt, code, replan }
}

function nonce(): string {
  return randomBytes(8).toString('hex')
}

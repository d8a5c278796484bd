/**
 * Which calls that run are to give a part of their partition away, and from where. Pure: time is an argument.
 *
 * A slot that has nothing to do takes half of what is left of the call that is predicted to run longest, by the rate at
 * which it has read so far. Nothing is cut that would soon be over; one slot takes from one call at a time, and a call
 * that has nothing to give is not asked again.
 */
import type { ByteRange } from '../core/bytes.ts'

/** What is left is worth a call of its own when it is this long in either sense. */
const MIN_REST_BYTES = 8 * 1024 * 1024
const MIN_REST_MS = 2_000

export interface RunningRead {
  readonly call: number
  readonly range: ByteRange
  readonly bytesRead: number
  /** Since the call started. */
  readonly ranMs: number
}

/** To end `call` at `at`. */
export interface SplitOrder {
  readonly call: number
  readonly at: number
}

/** At most `slots` orders, the call with the longest predicted remainder first. */
export function chooseSplits(reads: readonly RunningRead[], slots: number): SplitOrder[] {
  if (slots <= 0) return []
  return reads
    .map((read) => ({ read, ...restOf(read) }))
    .filter(({ restBytes, restMs }) => restBytes >= MIN_REST_BYTES || restMs >= MIN_REST_MS)
    .filter(({ restBytes }) => restBytes >= 2)
    .sort((a, b) => b.restMs - a.restMs || a.read.call - b.read.call)
    .slice(0, slots)
    .map(({ read, restBytes }) => ({ call: read.call, at: read.range.end - Math.floor(restBytes / 2) }))
}

/** A call that has read nothing yet has no rate: where it would end is not known, so it is left alone. */
function restOf({ range, bytesRead, ranMs }: RunningRead): { restBytes: number; restMs: number } {
  const restBytes = range.end - range.start - bytesRead
  if (bytesRead <= 0 || restBytes <= 0) return { restBytes: 0, restMs: 0 }
  return { restBytes, restMs: (restBytes * ranMs) / bytesRead }
}

/** The calls of one job that run: how far they are, and which have been asked. */
export class Splitting {
  readonly #running = new Map<number, { readonly invocation: number; readonly sinceMs: number; bytesRead: number }>()
  readonly #asked = new Set<number>()
  readonly #spent = new Set<number>()

  started(call: number, invocation: number, nowMs: number): void {
    this.#running.set(call, { invocation, sinceMs: nowMs, bytesRead: 0 })
    this.#asked.delete(call)
    this.#spent.delete(call)
  }

  progress(call: number, invocation: number, bytesRead: number): void {
    const running = this.#running.get(call)
    if (running?.invocation === invocation) running.bytesRead = bytesRead
  }

  /** The call was asked, and has answered; `kept`: it gave nothing away. */
  answered(call: number, kept: boolean): void {
    this.#asked.delete(call)
    if (kept) this.#spent.add(call)
  }

  ended(call: number, invocation: number): void {
    if (this.#running.get(call)?.invocation !== invocation) return
    this.#running.delete(call)
    this.#asked.delete(call)
  }

  /** The orders to give now, each told to the invocation that runs the call. */
  choose(
    idleSlots: number,
    nowMs: number,
    rangeOf: (call: number) => ByteRange,
  ): (SplitOrder & { invocation: number })[] {
    const slots = idleSlots - this.#asked.size
    if (slots <= 0) return []
    const reads: RunningRead[] = []
    for (const [call, { sinceMs, bytesRead }] of this.#running) {
      if (this.#asked.has(call) || this.#spent.has(call)) continue
      reads.push({ call, range: rangeOf(call), bytesRead, ranMs: nowMs - sinceMs })
    }
    return chooseSplits(reads, slots).map((order) => {
      this.#asked.add(order.call)
      return { ...order, invocation: this.#running.get(order.call)?.invocation as number }
    })
  }
}

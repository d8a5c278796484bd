/**
 * Layer: a ranged read that takes longer than all but one in a hundred of its size is asked for a second time; whoever
 * has all of it first wins, the other is aborted ("The Tail at Scale", CACM 2013).
 *
 * - Only pinned ranged reads: both requests give the same bytes. Never writes, never a read that could see two versions.
 * - What counts is the time spent waiting for the store. A reader that takes its time makes no read late.
 * - At most one hedge a read, and one for every `1 / share` reads: a slow store is not asked twice as much.
 * - The second request asks for what is left, and is held in memory until it is complete: at most a range.
 */
import { type Clock, systemClock } from '../core/clock.ts'
import { isTransient } from '../core/errors.ts'
import { QuantileWindow } from '../core/quantile.ts'
import type { GetOptions, ObjectReading, StorageBackend } from './backend.ts'
import { HedgedRead } from './hedged-read.ts'
import { isPinned, layered } from './layer.ts'

export interface HedgeLayer {
  /** Hedges per read at most. Default 0.05. */
  readonly share?: number | undefined
  /** Of the reads of its size, how many end in less time than a hedge waits for. Default 0.99. */
  readonly quantile?: number | undefined
  /** Reads of a size that are watched before the first is hedged. Default 100. */
  readonly minSamples?: number | undefined
  /** No hedge before that, however fast reads are. Default 20. */
  readonly minDelayMs?: number | undefined
  readonly clock?: Clock | undefined
}

/** Hedges that may be saved up. */
const MAX_SAVED = 5

/** The same store with a shorter tail. */
export function withHedge(backend: StorageBackend, layer: HedgeLayer = {}): StorageBackend {
  const latencies = new ReadLatencies(layer)
  const clock = layer.clock ?? systemClock
  return layered(backend, {
    get: (bucket, key, options) => {
      if (options?.range === undefined || !isPinned(backend, options)) return backend.get(bucket, key, options)
      return hedged(backend, bucket, key, options as HedgedOptions, latencies, clock)
    },
  })
}

type HedgedOptions = GetOptions & { readonly range: NonNullable<GetOptions['range']> }

function hedged(
  backend: StorageBackend,
  bucket: string,
  key: string,
  options: HedgedOptions,
  latencies: ReadLatencies,
  clock: Clock,
): Promise<ObjectReading> {
  const bytes = options.range.end - options.range.start
  const read = new HedgedRead({
    open: (range, signal, second) => {
      if (second) countHedge(backend, options)
      // what is kept until it is complete cannot be written over
      return backend.get(bucket, key, { ...options, range, signal, ...(second ? { reuse: false } : {}) })
    },
    range: options.range,
    signal: options.signal,
    clock,
    delayMs: latencies.begin(bytes),
    mayHedge: () => latencies.takeHedge(),
    isPassing: isTransient,
    onComplete: (waitedMs) => latencies.end(bytes, waitedMs),
  })
  return read.start()
}

function countHedge(backend: StorageBackend, { tally }: GetOptions): void {
  if (tally !== undefined) tally.of(backend.name).hedges += 1
}

/** How long reads take, by the power of two their size is near to, and how many may be hedged. */
export class ReadLatencies {
  readonly #windows = new Map<number, QuantileWindow>()
  readonly #share: number
  readonly #quantile: number
  readonly #minSamples: number
  readonly #minDelayMs: number
  #saved = 0

  constructor({ share = 0.05, quantile = 0.99, minSamples = 100, minDelayMs = 20 }: HedgeLayer = {}) {
    this.#share = share
    this.#quantile = quantile
    this.#minSamples = minSamples
    this.#minDelayMs = minDelayMs
  }

  /** A read begins: after how long it is late. Undefined while that is not known. */
  begin(bytes: number): number | undefined {
    this.#saved = Math.min(MAX_SAVED, this.#saved + this.#share)
    const window = this.#windows.get(sizeClass(bytes))
    if (window === undefined || window.count < this.#minSamples) return undefined
    return Math.max(this.#minDelayMs, window.quantile(this.#quantile) as number)
  }

  end(bytes: number, waitedMs: number): void {
    const size = sizeClass(bytes)
    const window = this.#windows.get(size) ?? new QuantileWindow()
    this.#windows.set(size, window)
    window.add(waitedMs)
  }

  takeHedge(): boolean {
    if (this.#saved < 1) return false
    this.#saved -= 1
    return true
  }
}

function sizeClass(bytes: number): number {
  return Math.round(Math.log2(bytes))
}

/**
 * Runs the calls of one payload, in order. Invariant: a call's `started` is in the channel before its code runs, and
 * its end before the next call's code does; so what is in the channel tells which call a death took.
 *
 * After an abort, calls that have not started are left out: for the driver they are lost before they began. So they are
 * when the worker is to be replaced.
 */
import { CancelledError } from '../core/errors.ts'
import { encodeError } from '../functions/error-codec.ts'
import { decodeCalls, decodeFeed, type Feed, type Report } from '../job/messages.ts'
import { withEnvironment } from './call-environment.ts'
import { Heartbeat } from './heartbeat.ts'
import type { LoadedJob } from './loaded-job.ts'
import { MemoryMeter, ProcessMeter } from './measure.ts'
import type { ReduceFeed } from './reduce-feed.ts'
import { Reporter } from './reporter.ts'
import { type DivisibleRead, runCall, type WorkerServices } from './run-call.ts'
import { Turns } from './turns.ts'

/** What runs now, for who catches output and errors outside the call's own code. */
export interface RunningCall {
  log(text: string, stream: 'stdout' | 'stderr'): void
  /** Ends the call as failed; nothing of this invocation is reported after it. */
  fail(error: unknown): void
}

export class InvocationRun {
  readonly #job: LoadedJob
  readonly #services: WorkerServices
  readonly #reporter: Reporter
  readonly #isSpent: (nowMs: number) => boolean
  readonly #early: Exclude<Feed, { type: 'abort' | 'end-at' }>[] = []
  #feed: ReduceFeed | undefined
  #partition: DivisibleRead | undefined
  #aborted: CancelledError | undefined
  #controller: AbortController | undefined
  #call: number | undefined

  /**
   * `write` takes reports (src/job/messages.ts); they are in the channel when it returns. `isSpent` is asked between calls:
   * whether the worker should run no further one.
   */
  constructor(
    job: LoadedJob,
    services: WorkerServices,
    write: (bytes: Uint8Array) => void,
    isSpent: (nowMs: number) => boolean = () => false,
  ) {
    this.#job = job
    this.#services = services
    this.#isSpent = isSpent
    this.#reporter = new Reporter(write)
  }

  /** The call whose code runs now. */
  get running(): RunningCall | undefined {
    const call = this.#call
    if (call === undefined) return undefined
    return {
      log: (text, stream) => this.#reporter.send({ type: 'log', call, text, stream }),
      fail: (error) => {
        this.#call = undefined
        this.#reporter.send({ type: 'failed', call, error: encodeError(error) })
      },
    }
  }

  /** Takes one message of src/job/messages.ts. */
  feed(bytes: Uint8Array): void {
    const feed: Feed = decodeFeed(bytes)
    if (feed.type === 'abort') this.#abort(feed.reason)
    else if (feed.type === 'end-at') this.#endAt(feed.call, feed.at)
    else if (this.#feed === undefined) this.#early.push(feed)
    else give(this.#feed, feed)
  }

  /** Runs every call of the payload. Rejects only when the payload cannot be read. */
  async run(payload: Uint8Array): Promise<void> {
    const calls = decodeCalls(payload)
    const heartbeat = new Heartbeat(() => this.#beat())
    heartbeat.start()
    try {
      await withEnvironment(this.#job.head.extraEnv, () => this.#runCalls(calls))
    } finally {
      heartbeat.stop()
    }
    this.#reporter.flush()
  }

  #beat(): void {
    if (this.#call !== undefined) this.#reporter.send({ type: 'alive', call: this.#call })
  }

  async #runCalls(calls: ReturnType<typeof decodeCalls>): Promise<void> {
    const memory = this.#services.memory ?? new MemoryMeter()
    const turns = new Turns()
    const around = {
      job: this.#job,
      services: this.#services,
      meters: { process: new ProcessMeter(calls.length), memory },
      report: (report: Report) => this.#reporter.send(report),
      signal: () => this.#signal(),
      throwIfAborted: () => {
        if (this.#aborted !== undefined) throw this.#aborted
      },
      feedInto: (feed: ReduceFeed) => this.#feedInto(feed),
      reads: (partition: DivisibleRead) => {
        this.#partition = partition
      },
    }
    for (const spec of calls) {
      if (this.#aborted !== undefined) return
      this.#reporter.send({ type: 'started', call: spec.call })
      this.#call = spec.call
      const end = await runCall(spec, around)
      this.#call = undefined
      this.#feed = undefined
      this.#partition = undefined
      this.#reporter.defer(end)
      const nowMs = performance.now()
      if (this.#isSpent(nowMs)) return
      if (!turns.due(nowMs)) continue
      this.#reporter.flush()
      await turns.turn()
    }
  }

  #feedInto(feed: ReduceFeed): void {
    this.#feed = feed
    for (const early of this.#early.splice(0)) give(feed, early)
    if (this.#aborted !== undefined) feed.end(this.#aborted)
  }

  /** A call that is over, or reads nothing, gives nothing away and does not answer. */
  #endAt(call: number, at: number): void {
    if (call === this.#call) this.#partition?.endAt(at)
  }

  #signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#aborted !== undefined) this.#controller.abort(this.#aborted)
    return this.#controller.signal
  }

  #abort(reason: string): void {
    this.#aborted ??= new CancelledError(reason)
    this.#controller?.abort(this.#aborted)
    this.#feed?.end(this.#aborted)
  }
}

function give(feed: ReduceFeed, message: Exclude<Feed, { type: 'abort' | 'end-at' }>): void {
  if (message.type === 'inputs') feed.expect(message.count)
  else feed.push(message)
}

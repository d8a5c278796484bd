/**
 * Shows running jobs: on a terminal one line each, redrawn in place and gone at the end; elsewhere plain lines at the
 * start, about every quarter, and at the end. Foreign output to guarded streams goes above the bar, never into it.
 */
import type { ExecutorListener } from '../job/events.ts'
import { renderBar, renderEnd, renderSelecting, renderStart, renderStep } from './progress-line.ts'
import { fractionDone, type JobProgress, type JobsProgress, recordProgress } from './progress-state.ts'

const REDRAW_MS = 100
const PLAIN_LINE_MS = 2_000

export interface TextStream {
  write(text: string): unknown
  /** Characters in a line, where it is a terminal. */
  readonly columns?: number | undefined
}

export interface ProgressBarOptions {
  readonly stream: TextStream
  readonly isTTY: boolean
  /** Epoch ms, as the times of events. */
  readonly nowMs: () => number
  /** What the calls are called; default `call`. */
  readonly noun?: string | undefined
  /** Streams on the same terminal (stdout, stderr): while a bar stands, what others write to them goes above it. */
  readonly guard?: readonly { write: (...args: never[]) => unknown }[] | undefined
}

export interface ProgressBar extends ExecutorListener {
  /** Removes the bar and gives guarded streams back. Idempotent. */
  close(): void
}

/** A listener for `FunctionExecutor`; jobs with `silent` are not shown. */
export function createProgressBar(options: ProgressBarOptions): ProgressBar {
  return options.isTTY ? terminalBar(options) : plainLines(options)
}

function plainLines({ stream, nowMs, noun }: ProgressBarOptions): ProgressBar {
  const jobs: JobsProgress = new Map()
  const told = new Map<string, { quarter: number; at: number }>()
  const found = new Map<string, { objects: number; at: number }>()
  const tellSelecting = (job: JobProgress) => {
    const last = found.get(job.jobId) ?? { objects: 0, at: job.createdAt }
    const objects = job.selecting?.objects ?? 0
    // a long listing is told of ever more seldom
    if (nowMs() - last.at < PLAIN_LINE_MS || objects < 2 * last.objects) return
    found.set(job.jobId, { objects, at: nowMs() })
    stream.write(`${renderSelecting(job, nowMs())}\n`)
  }
  const listener: ExecutorListener = (event) => {
    const job = recordProgress(jobs, event, noun)
    if (job === undefined || job.silent) return
    if (event.type === 'job-selecting') tellSelecting(job)
    else if (event.type === 'job-planned') {
      told.set(job.jobId, { quarter: 0, at: nowMs() })
      stream.write(`${renderStart(job)}\n`)
    } else if (event.type === 'job-ended') {
      jobs.delete(job.jobId)
      told.delete(job.jobId)
      found.delete(job.jobId)
      stream.write(`${renderEnd(job)}\n`)
    } else {
      const last = told.get(job.jobId)
      const quarter = Math.floor(fractionDone(job) * 4)
      if (last === undefined || quarter <= last.quarter || quarter === 4 || nowMs() - last.at < PLAIN_LINE_MS) return
      told.set(job.jobId, { quarter, at: nowMs() })
      stream.write(`${renderStep(job, nowMs())}\n`)
    }
  }
  return Object.assign(listener, { close: () => jobs.clear() })
}

function terminalBar({ stream, nowMs, noun, guard = [] }: ProgressBarOptions): ProgressBar {
  const jobs: JobsProgress = new Map()
  const screen = new BarScreen(stream)
  const guarded = new GuardedStreams(guard, screen)
  let drawnAt = Number.NEGATIVE_INFINITY
  const shown = (): JobProgress[] => [...jobs.values()].filter((job) => !job.silent)
  const listener: ExecutorListener = (event) => {
    const job = recordProgress(jobs, event, noun)
    if (job === undefined) return
    if (event.type === 'job-ended') jobs.delete(job.jobId)
    if (job.silent) return
    if (event.type !== 'job-ended' && nowMs() - drawnAt < REDRAW_MS) return
    drawnAt = nowMs()
    // a terminal that does not know its size says 0
    const width = (stream.columns || 80) - 1
    screen.draw(shown().map((each) => renderBar(each, drawnAt, width)))
    if (screen.isEmpty) guarded.release()
    else guarded.take()
  }
  const close = () => {
    jobs.clear()
    screen.draw([])
    guarded.release()
  }
  return Object.assign(listener, { close })
}

/** Lines at the bottom of a terminal; the cursor rests below them. */
class BarScreen {
  readonly #stream: TextStream
  #lines: readonly string[] = []
  #visible = false
  /** Writes of the bar itself must not be taken for foreign ones. */
  drawing = false

  constructor(stream: TextStream) {
    this.#stream = stream
  }

  get isEmpty(): boolean {
    return this.#lines.length === 0
  }

  draw(lines: readonly string[]): void {
    const erase = this.#visible ? eraseLines(this.#lines.length) : ''
    this.#lines = lines
    this.#visible = lines.length > 0
    this.#write(erase + lines.map((line) => `${line}\n`).join(''))
  }

  /** Takes the lines off the screen; the next `draw` puts them back. */
  hide(): void {
    if (!this.#visible) return
    this.#visible = false
    this.#write(eraseLines(this.#lines.length))
  }

  show(): void {
    if (!this.#visible) this.draw(this.#lines)
  }

  #write(text: string): void {
    if (text === '') return
    this.drawing = true
    try {
      this.#stream.write(text)
    } finally {
      this.drawing = false
    }
  }
}

/** While taken, the `write` of each stream hides the bar around what it writes. */
class GuardedStreams {
  readonly #streams: readonly { write: (...args: never[]) => unknown }[]
  readonly #screen: BarScreen
  #originals: readonly ((...args: never[]) => unknown)[] | undefined

  constructor(streams: readonly { write: (...args: never[]) => unknown }[], screen: BarScreen) {
    this.#streams = streams
    this.#screen = screen
  }

  take(): void {
    if (this.#originals !== undefined) return
    this.#originals = this.#streams.map((stream) => {
      const original = stream.write
      stream.write = (...args: never[]) => this.#above(args[0], () => original.apply(stream, args))
      return original
    })
  }

  release(): void {
    this.#originals?.forEach((original, i) => {
      const stream = this.#streams[i]
      if (stream !== undefined) stream.write = original
    })
    this.#originals = undefined
  }

  #above(text: unknown, write: () => unknown): unknown {
    if (this.#screen.drawing) return write()
    this.#screen.hide()
    const result = write()
    // a line that is not finished yet must not get the bar behind it
    if (String(text).endsWith('\n')) this.#screen.show()
    return result
  }
}

function eraseLines(count: number): string {
  return `\x1b[${count}A\x1b[0J`
}

/**
 * Pictures of when calls ran, as SVG text: a timeline (per call: submitted, started, ended, result read) and a histogram
 * (how many ran at once). Pure. What falls on one pixel is drawn once, so a picture has a size however many calls it shows.
 */

/** Times of one call, epoch ms; absent where it did not get so far. */
export interface CallTimes {
  readonly submittedAt: number
  readonly sentAt?: number | undefined
  readonly startedAt?: number | undefined
  readonly endedAt?: number | undefined
  readonly readAt?: number | undefined
}

/** Width and height in inches of 100 pixels, as Lithops' `figsize`. */
export type FigureSize = readonly [number, number]

const PIXELS_PER_INCH = 100
const MARGIN = { left: 70, right: 20, top: 40, bottom: 50 }
const TICKS = 6

interface Series {
  readonly name: string
  readonly color: string
  readonly time: (call: CallTimes) => number | undefined
}

/** Colours that people who see few of them tell apart. */
const SERIES: readonly Series[] = [
  { name: 'submitted', color: '#999999', time: ({ submittedAt }) => submittedAt },
  { name: 'sent', color: '#E69F00', time: ({ sentAt }) => sentAt },
  { name: 'started', color: '#0072B2', time: ({ startedAt }) => startedAt },
  { name: 'ended', color: '#009E73', time: ({ endedAt }) => endedAt },
  { name: 'result read', color: '#CC79A7', time: ({ readAt }) => readAt },
]

/** One row a call, from the bottom up in the order given; a dot for each step it took. */
export function timeline(calls: readonly CallTimes[], size: FigureSize): string {
  const frame = new Frame(size, spanOf(calls), calls.length)
  const shown = SERIES.filter(({ time }) => calls.some((call) => time(call) !== undefined))
  const dots = shown.map(({ color, time }) => {
    const pixels = new Set<string>()
    for (const [i, call] of calls.entries()) {
      const at = time(call)
      if (at !== undefined) pixels.add(`M${frame.x(at)} ${frame.y(i + 0.5)}h0`)
    }
    return `<path d="${[...pixels].join('')}" stroke="${color}" stroke-width="4" stroke-linecap="round" fill="none"/>`
  })
  return frame.draw('Timeline', 'calls', [...dots, ...legend(shown)])
}

/** A grey line a call from its start to its end, and over them how many ran at each moment. */
export function histogram(calls: readonly CallTimes[], size: FigureSize): string {
  const ran = calls.flatMap(({ startedAt, endedAt }) =>
    startedAt === undefined || endedAt === undefined ? [] : [{ startedAt, endedAt: Math.max(startedAt, endedAt) }],
  )
  const frame = new Frame(size, spanOf(calls), calls.length)
  const pixels = new Set(
    ran.map(({ startedAt, endedAt }, i) => `M${frame.x(startedAt)} ${frame.y(i + 0.5)}H${frame.x(endedAt)}`),
  )
  const lines = `<path d="${[...pixels].join('')}" stroke="#BBBBBB" stroke-width="1" fill="none"/>`
  const steps = activeOverTime(ran).map(({ at, active }) => `H${frame.x(at)}V${frame.y(active)}`)
  const path = [...new Set(steps)].join('')
  const curve = `<path d="M${frame.x(frame.startMs)} ${frame.y(0)}${path}" stroke="#0072B2" stroke-width="2" fill="none"/>`
  return frame.draw('Histogram', 'active calls', [lines, curve])
}

/** How many intervals hold each moment at which that changes, in order of time. */
export function activeOverTime(
  ran: readonly { readonly startedAt: number; readonly endedAt: number }[],
): { at: number; active: number }[] {
  const changes = new Map<number, number>()
  const change = (at: number, by: number) => changes.set(at, (changes.get(at) ?? 0) + by)
  for (const { startedAt, endedAt } of ran) {
    change(startedAt, 1)
    change(endedAt, -1)
  }
  let active = 0
  return [...changes]
    .sort(([a], [b]) => a - b)
    .map(([at, by]) => {
      active += by
      return { at, active }
    })
}

/** The plane of a picture: time to the right, a number upwards. */
class Frame {
  readonly startMs: number
  readonly #spanMs: number
  readonly #top: number
  readonly #width: number
  readonly #height: number

  constructor([width, height]: FigureSize, [startMs, endMs]: readonly [number, number], top: number) {
    this.startMs = startMs
    this.#spanMs = Math.max(1, endMs - startMs)
    this.#top = Math.max(1, top)
    this.#width = Math.round(width * PIXELS_PER_INCH)
    this.#height = Math.round(height * PIXELS_PER_INCH)
  }

  x(atMs: number): number {
    const room = this.#width - MARGIN.left - MARGIN.right
    return Math.round(MARGIN.left + (room * (atMs - this.startMs)) / this.#spanMs)
  }

  y(value: number): number {
    const room = this.#height - MARGIN.top - MARGIN.bottom
    return Math.round(this.#height - MARGIN.bottom - (room * value) / this.#top)
  }

  draw(title: string, axis: string, content: readonly string[]): string {
    const [width, height] = [this.#width, this.#height]
    const [left, right, bottom] = [MARGIN.left, width - MARGIN.right, height - MARGIN.bottom]
    return [
      `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`,
      ' font-family="sans-serif" font-size="12">',
      `<rect width="${width}" height="${height}" fill="white"/>`,
      `<path d="M${left} ${MARGIN.top}V${bottom}H${right}" stroke="black" fill="none"/>`,
      text(width / 2, 20, title, 'middle'),
      text((left + right) / 2, height - 10, 'seconds', 'middle'),
      text(10, MARGIN.top - 10, axis, 'start'),
      ...this.#ticks(),
      ...content,
      '</svg>\n',
    ].join('\n')
  }

  #ticks(): string[] {
    const marks = Array.from({ length: TICKS }, (_, i) => i / (TICKS - 1))
    const seconds = (ms: number) => (ms / 1_000).toFixed(this.#spanMs < 10_000 ? 2 : 0)
    const counts = new Set(marks.map((share) => Math.round(share * this.#top)))
    return [
      ...marks.map((share) => {
        const ms = share * this.#spanMs
        return text(this.x(this.startMs + ms), this.#height - MARGIN.bottom + 18, seconds(ms), 'middle')
      }),
      ...[...counts].map((count) => text(MARGIN.left - 6, this.y(count) + 4, `${count}`, 'end')),
    ]
  }
}

function spanOf(calls: readonly CallTimes[]): [number, number] {
  let [start, end] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const call of calls) {
    for (const { time } of SERIES) {
      const at = time(call)
      if (at === undefined) continue
      start = Math.min(start, at)
      end = Math.max(end, at)
    }
  }
  return start <= end ? [start, end] : [0, 0]
}

function legend(series: readonly Series[]): string[] {
  return series.map(({ name, color }, i) => {
    const x = MARGIN.left + 70 + i * 110
    return `<circle cx="${x}" cy="${MARGIN.top - 14}" r="4" fill="${color}"/>${text(x + 8, MARGIN.top - 10, name, 'start')}`
  })
}

function text(x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end'): string {
  return `<text x="${Math.round(x)}" y="${Math.round(y)}" text-anchor="${anchor}">${content}</text>`
}

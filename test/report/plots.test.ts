import { describe, expect, it } from 'vitest'
import { type SummaryRow, summarize, summaryCsv } from '../../src/report/job-summary.ts'
import { activeOverTime, type CallTimes, histogram, timeline } from '../../src/report/plots.ts'

const CALLS: readonly CallTimes[] = [
  { submittedAt: 1_000, sentAt: 1_100, startedAt: 1_200, endedAt: 1_700, readAt: 2_000 },
  { submittedAt: 1_000, sentAt: 1_100, startedAt: 1_500, endedAt: 1_800 },
  { submittedAt: 1_000 },
]

/** Every `M x y` of the paths of a picture, by the colour of their lines. */
function points(svg: string): Record<string, [number, number][]> {
  const paths = [...svg.matchAll(/<path d="([^"]*)" stroke="([^"]*)"/g)]
  return Object.fromEntries(
    paths.map(([, d = '', stroke = '']) => [
      stroke,
      [...d.matchAll(/M(-?\d+) (-?\d+)/g)].map(([, x, y]): [number, number] => [Number(x), Number(y)]),
    ]),
  )
}

describe('timeline', () => {
  const svg = timeline(CALLS, [10, 6])

  it('has a dot for each step of each call, in time to the right, a row a call upwards', () => {
    const { '#999999': submitted, '#E69F00': sent, '#0072B2': started, '#009E73': ended, '#CC79A7': read } = points(svg)
    expect([submitted, sent, started, ended, read].map((dots) => dots?.length)).toEqual([3, 2, 2, 2, 1])
    expect(submitted?.[0]?.[0]).toBe(70)
    expect(read?.[0]?.[0]).toBe(980)
    expect(started?.[0]?.[0]).toBe(70 + (200 * 910) / 1_000)
    const rows = submitted?.map(([, y]) => y) as number[]
    expect(rows).toEqual(rows.toSorted((a, b) => b - a))
    expect(new Set(rows).size).toBe(3)
  })

  it('names only what is there, has the size it was asked for, and closes its tags', () => {
    expect(svg).toContain('width="1000" height="600"')
    expect(svg).toContain('>result read<')
    expect(timeline([{ submittedAt: 1 }], [2, 2])).not.toContain('>started<')
    expect(svg.match(/<text/g)?.length).toBe(svg.match(/<\/text>/g)?.length)
    expect(svg.trim().endsWith('</svg>')).toBe(true)
  })

  it.each([
    ['none', []],
    ['one that never began', [{ submittedAt: 5 }]],
  ])('of %s is a picture without a number that is none', (_, calls) => {
    for (const draw of [timeline, histogram]) expect(draw(calls, [3, 3])).not.toMatch(/NaN|Infinity|undefined/)
  })

  it('draws what falls on one pixel once: a million calls make no larger a file', () => {
    const many = Array.from({ length: 200_000 }, (_, i) => ({ submittedAt: 0, startedAt: i % 7, endedAt: 7 + (i % 3) }))
    expect(timeline(many, [10, 6]).length).toBeLessThan(100_000)
    expect(histogram(many, [10, 6]).length).toBeLessThan(200_000)
  })
})

describe('histogram', () => {
  it('counts what ran at each moment', () => {
    const ran = [
      { startedAt: 1, endedAt: 5 },
      { startedAt: 2, endedAt: 3 },
      { startedAt: 3, endedAt: 5 },
    ]
    expect(activeOverTime(ran)).toEqual([
      { at: 1, active: 1 },
      { at: 2, active: 2 },
      { at: 3, active: 2 },
      { at: 5, active: 0 },
    ])
  })

  it('draws a line a call that ran, and the curve from the axis up', () => {
    const drawn = points(histogram(CALLS, [10, 6]))
    expect(drawn['#BBBBBB']).toHaveLength(2)
    expect(drawn['#0072B2']).toEqual([[70, 550]])
  })
})

const ROW: SummaryRow = {
  ...{ jobId: 'M000', name: 'count', calls: 4, succeeded: 2, failed: 1, cancelled: 1, attempts: 5, memoryMiB: 512 },
  ...{ runMs: 300, averageRunMs: 100, cpuMs: 250.5, bytesRead: 10, resultBytes: 20, peakRssBytes: 99 },
  requestCost: 0.000123,
}

describe('jobSummary', () => {
  it('adds up all jobs; memory is the most, the average is over all calls that ran', () => {
    const { jobs, total } = summarize([ROW, { ...ROW, jobId: 'R000', runMs: 900, peakRssBytes: 7 }])
    expect(jobs.map(({ jobId }) => jobId)).toEqual(['M000', 'R000'])
    expect(total).toEqual({
      ...{ jobId: 'total', name: '', calls: 8, succeeded: 4, failed: 2, cancelled: 2, attempts: 10 },
      ...{ memoryMiB: undefined, runMs: 1_200, averageRunMs: 200, cpuMs: 501, bytesRead: 20, resultBytes: 40 },
      ...{ peakRssBytes: 99, requestCost: 0.000246 },
    })
    expect(summarize([]).total).toMatchObject({ calls: 0, averageRunMs: 0, peakRssBytes: 0 })
  })

  it('as CSV: a line of headings, a line a job, the total; names that hold commas or quotes stay one cell', () => {
    const lines = summaryCsv(summarize([{ ...ROW, name: 'a, "b"' }])).split('\n')
    expect(lines).toHaveLength(4)
    expect(lines[0]).toMatch(/^Job_ID,Function,Invocations,/)
    expect(lines[1]).toBe('M000,"a, ""b""",4,2,1,1,5,512,100,300,250.5,10,20,99,0.000123')
    expect(lines[2]).toMatch(/^total,,4,/)
  })
})

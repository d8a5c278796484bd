import { describe, expect, it } from 'vitest'
import type { ExecutorEvent } from '../../src/job/events.ts'
import { createProgressBar } from '../../src/report/progress-bar.ts'
import { renderBar, renderEnd, renderStep } from '../../src/report/progress-line.ts'
import { bytesRead, fractionDone, type JobsProgress, recordProgress } from '../../src/report/progress-state.ts'

const MIB = 2 ** 20

function created(jobId = 'M000', silent = false): ExecutorEvent {
  return { type: 'job-created', at: 0, jobId, kind: 'map', name: 'count', silent }
}
const planned = (callCount: number, bytes: number, jobId = 'M000'): ExecutorEvent => ({
  type: 'job-planned',
  at: 0,
  jobId,
  callCount,
  bytes,
})
const started = (call: number, at = 0, jobId = 'M000'): ExecutorEvent => ({ type: 'call-started', at, jobId, call })
const progress = (call: number, bytes: number): ExecutorEvent => ({
  type: 'call-progress',
  at: 0,
  jobId: 'M000',
  call,
  bytesRead: bytes,
})
function ended(
  call: number,
  bytes = 0,
  outcome: 'succeeded' | 'failed' | 'cancelled' = 'succeeded',
  jobId = 'M000',
): ExecutorEvent {
  return { type: 'call-ended', at: 0, jobId, call, outcome, bytesRead: bytes, runMs: 1 }
}
const jobEnded = (at: number, jobId = 'M000'): ExecutorEvent => ({
  type: 'job-ended',
  at,
  jobId,
  outcome: 'succeeded',
})

function jobAfter(...events: ExecutorEvent[]) {
  const jobs: JobsProgress = new Map()
  for (const event of events) recordProgress(jobs, event)
  const job = jobs.get('M000')
  if (job === undefined) throw new Error('no job')
  return job
}

class Terminal {
  text = ''
  columns = 100
  write(text: string): boolean {
    this.text += text
    return true
  }
}

describe('the account of a job', () => {
  it('a divided call makes one more of them', () => {
    const divided: ExecutorEvent = { type: 'call-divided', at: 0, jobId: 'M000', call: 0, callCount: 2 }
    expect(fractionDone(jobAfter(created(), planned(1, 0), ended(0)))).toBe(1)
    expect(fractionDone(jobAfter(created(), planned(1, 0), divided, ended(0)))).toBe(0.5)
  })

  it('counts bytes of ended and of running calls, once each', () => {
    const job = jobAfter(
      created(),
      planned(2, 100),
      started(0),
      progress(0, 30),
      ended(0, 60),
      started(1),
      progress(1, 7),
    )
    expect(bytesRead(job)).toBe(67)
    expect(fractionDone(job)).toBe(0.67)
  })

  it('is at 100 % when all calls ended, and with none at all', () => {
    expect(fractionDone(jobAfter(created(), planned(1, 100), started(0), ended(0, 40)))).toBe(1)
    expect(fractionDone(jobAfter(created(), planned(0, 0)))).toBe(1)
    expect(fractionDone(jobAfter(created()))).toBe(0)
  })
})

describe('renderBar', () => {
  const halfway = jobAfter(created(), planned(4, 4 * MIB), started(0), ended(0, MIB), started(1), progress(1, MIB))

  it.each([
    [120, 'M000 count  [############............]   50 %  1/4 calls  2 MiB/4 MiB  1 MiB/s  2.0 s left'],
    [80, 'M000 count  [######......]   50 %  1/4 calls  2 MiB/4 MiB  1 MiB/s  2.0 s left'],
    [70, 'M000 count   50 %  1/4 calls  2 MiB/4 MiB  1 MiB/s  2.0 s left'],
    [40, 'M000 count   50 %  1/4 calls'],
    [14, 'M000   50 %'],
    [6, 'M000  '],
  ])('fits %i characters', (width, line) => {
    const rendered = renderBar(halfway, 2_000, width)
    expect(rendered).toBe(line)
    expect(rendered.length).toBeLessThanOrEqual(width)
  })

  it('tells calls per second where no objects are read, and failures', () => {
    const job = jobAfter(created(), planned(4, 0), started(0), ended(0), ended(1, 0, 'failed'))
    expect(renderBar(job, 4_000, 120)).toBe(
      'M000 count  [############............]   50 %  2/4 calls, 1 failed  0.5 calls/s  4.0 s left',
    )
  })

  it('says that it plans until it knows', () => {
    expect(renderBar(jobAfter(created()), 0, 80)).toBe('M000 count  planning')
  })

  it('plain lines hold the same facts', () => {
    expect(renderStep(halfway, 2_000)).toBe('M000 count: 50 %, 1/4 calls, 2 MiB/4 MiB, 1 MiB/s, 2.0 s left')
    const over = jobAfter(created(), planned(1, 0), started(0), ended(0, 0, 'failed'), jobEnded(1_500))
    expect(renderEnd(over)).toBe('M000 count: succeeded, 1 call (1 failed) in 1.5 s')
  })
})

describe('createProgressBar on a terminal', () => {
  it('draws in place, at most every 100 ms, and leaves nothing behind', () => {
    const stream = new Terminal()
    let now = 0
    const bar = createProgressBar({ stream, isTTY: true, nowMs: () => now })
    bar(created())
    bar(planned(2, 0))
    expect(stream.text).toBe('M000 count  planning\n')
    now = 100
    bar(started(0))
    expect(stream.text).toBe(`M000 count  planning\n\x1b[1A\x1b[0JM000 count  [${'.'.repeat(24)}]    0 %  0/2 calls\n`)
    stream.text = ''
    bar(jobEnded(100))
    expect(stream.text).toBe('\x1b[1A\x1b[0J')
  })

  it('shows one line per job, and none for a silent one', () => {
    const stream = new Terminal()
    let now = 0
    const bar = createProgressBar({ stream, isTTY: true, nowMs: () => (now += 200) })
    for (const event of [created('M000'), created('R000'), created('M001', true), planned(1, 0, 'M001')]) bar(event)
    expect(stream.text.split('\x1b[0J').at(-1)).toBe('M000 count  planning\nR000 count  planning\n')
  })

  it('foreign output goes above the bar; an unfinished line keeps the bar away', () => {
    const stream = new Terminal()
    const write = stream.write
    const bar = createProgressBar({ stream, isTTY: true, nowMs: () => 0, guard: [stream] })
    bar(created())
    stream.text = ''
    stream.write('hello\n')
    expect(stream.text).toBe('\x1b[1A\x1b[0Jhello\nM000 count  planning\n')
    stream.text = ''
    stream.write('no end')
    stream.write(' yet\n')
    expect(stream.text).toBe('\x1b[1A\x1b[0Jno end yet\nM000 count  planning\n')
    bar.close()
    expect(stream.write).toBe(write)
    stream.text = ''
    bar.close()
    expect(stream.text).toBe('')
  })
})

describe('createProgressBar elsewhere', () => {
  it('prints the start, quarters at most every 2 s, and the end', () => {
    const stream = new Terminal()
    let now = 0
    const bar = createProgressBar({ stream, isTTY: false, nowMs: () => now })
    bar(created())
    bar(planned(8, 0))
    for (let call = 0; call < 8; call++) {
      now = call * 1_000
      bar(started(call, now))
      bar(ended(call))
    }
    bar({ ...jobEnded(8_000) })
    expect(stream.text.split('\n')).toEqual([
      'M000 count: 8 calls',
      'M000 count: 25 %, 2/8 calls, 1.0 calls/s, 6.0 s left',
      'M000 count: 50 %, 4/8 calls, 1.0 calls/s, 4.0 s left',
      'M000 count: 75 %, 6/8 calls, 1.0 calls/s, 2.0 s left',
      'M000 count: succeeded, 8 calls in 8.0 s',
      '',
    ])
  })

  it('says nothing of silent jobs', () => {
    const stream = new Terminal()
    const bar = createProgressBar({ stream, isTTY: false, nowMs: () => 0 })
    for (const event of [created('M000', true), planned(1, 0), jobEnded(1)]) bar(event)
    expect(stream.text).toBe('')
  })
})

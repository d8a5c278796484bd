import { describe, expect, it } from 'vitest'
import type { LogLevel } from '../../src/core/log-level.ts'
import type { ExecutorEvent } from '../../src/job/events.ts'
import { createLogPrinter } from '../../src/report/log-printer.ts'

function printed(level: LogLevel, events: readonly ExecutorEvent[]): string {
  let text = ''
  const printer = createLogPrinter({ stream: { write: (more: string) => (text += more) }, level })
  for (const event of events) printer(event)
  return text
}

const log = (text: string, call = 3, stream: 'stdout' | 'stderr' = 'stdout'): ExecutorEvent => ({
  type: 'call-log',
  at: 0,
  jobId: 'M000',
  call,
  text,
  stream,
})
const ended: ExecutorEvent = {
  type: 'call-ended',
  at: 0,
  jobId: 'M000',
  call: 3,
  outcome: 'succeeded',
  bytesRead: 0,
  runMs: 0,
}
const crash: ExecutorEvent = { type: 'worker-output', at: 0, text: 'Killed\n', stream: 'stderr' }

describe('createLogPrinter', () => {
  it('puts the call in front of every line', () => {
    expect(printed('info', [log('a\nb\n')])).toBe('M000/00003 | a\nM000/00003 | b\n')
  })

  it('joins a line that came in parts, per call and stream, and prints it once', () => {
    const events = [log('one '), log('other\n', 4), log('err\n', 3, 'stderr'), log('line\n'), ended]
    expect(printed('info', events)).toBe('M000/00004 | other\nM000/00003 | err\nM000/00003 | one line\n')
  })

  it('prints a line without an end when its call has ended', () => {
    expect(printed('info', [log('tail'), ended, ended])).toBe('M000/00003 | tail\n')
  })

  it.each<[LogLevel, string]>([
    ['debug', 'M000/00003 | x\nworker | Killed\n'],
    ['info', 'M000/00003 | x\nworker | Killed\n'],
    ['warn', 'worker | Killed\n'],
    ['error', ''],
    ['silent', ''],
  ])('at level %s', (level, text) => {
    expect(printed(level, [log('x\n'), crash, ended])).toBe(text)
  })
})

/** Prints what calls and workers print: whole lines, each once, with the call they came from in front. */

import { callId } from '../core/ids.ts'
import { isTold, type LogLevel } from '../core/log-level.ts'
import type { ExecutorListener } from '../job/events.ts'
import type { TextStream } from './progress-bar.ts'

export interface LogPrinterOptions {
  readonly stream: TextStream
  /** Output of calls is told at `info`, of workers outside any call at `warn`. */
  readonly level: LogLevel
}

/** A listener for `FunctionExecutor`. A line that never ended is printed when its call has. */
export function createLogPrinter({ stream, level }: LogPrinterOptions): ExecutorListener {
  const unfinished = new Map<string, string>()
  const print = (source: string, prefix: string, text: string) => {
    const lines = ((unfinished.get(source) ?? '') + text).split(/\r?\n/)
    const rest = lines.pop() ?? ''
    if (rest === '') unfinished.delete(source)
    else unfinished.set(source, rest)
    if (lines.length > 0) stream.write(lines.map((line) => `${prefix} | ${line}\n`).join(''))
  }
  const finish = (source: string, prefix: string) => {
    if (unfinished.has(source)) print(source, prefix, '\n')
  }
  return (event) => {
    if (event.type === 'call-log' && isTold('info', level)) {
      const prefix = `${event.jobId}/${callId(event.call)}`
      print(`${prefix} ${event.stream}`, prefix, event.text)
    } else if (event.type === 'call-ended') {
      if (unfinished.size === 0) return
      const prefix = `${event.jobId}/${callId(event.call)}`
      finish(`${prefix} stdout`, prefix)
      finish(`${prefix} stderr`, prefix)
    } else if (event.type === 'warning' && isTold('warn', level)) {
      stream.write(`quern: ${event.text}\n`)
    } else if (event.type === 'worker-output' && isTold('warn', level)) {
      print(`worker ${event.stream}`, 'worker', event.text)
    }
  }
}

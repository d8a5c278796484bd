/** What an executor shows by itself: the progress bar and what calls print, as configured. */
import type { LogLevel } from '../core/log-level.ts'
import type { ExecutorEvent } from '../job/events.ts'
import { createLogPrinter } from './log-printer.ts'
import { createProgressBar } from './progress-bar.ts'

export interface Listeners {
  tell(event: ExecutorEvent): void
  /** Removes the bar. Idempotent. */
  close(): void
}

export interface ReportSettings {
  readonly logLevel: LogLevel
  readonly showProgressbar?: boolean | undefined
  readonly warnings: readonly string[]
}

/** Prints to stderr; configuration warnings at once. */
export function createListeners({ logLevel, showProgressbar = true, warnings }: ReportSettings): Listeners {
  const { stderr, stdout } = process
  for (const warning of warnings) stderr.write(`quern: ${warning}\n`)
  const bar = showProgressbar
    ? createProgressBar({ stream: stderr, isTTY: stderr.isTTY === true, nowMs: Date.now, guard: [stdout, stderr] })
    : undefined
  const printer = createLogPrinter({ stream: stderr, level: logLevel })
  return {
    tell(event) {
      bar?.(event)
      printer(event)
    },
    close: () => bar?.close(),
  }
}

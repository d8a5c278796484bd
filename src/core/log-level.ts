/** How much is told, from nothing to everything: each level includes those before it. */
export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const

export type LogLevel = (typeof LOG_LEVELS)[number]

const LITHOPS_NAMES: Readonly<Record<string, LogLevel>> = {
  CRITICAL: 'error',
  ERROR: 'error',
  WARNING: 'warn',
  INFO: 'info',
  DEBUG: 'debug',
}

/** The level of a name, Python's as well (`WARNING`, `CRITICAL`; any case); undefined when it is none. */
export function parseLogLevel(name: string): LogLevel | undefined {
  const lower = name.toLowerCase()
  return LOG_LEVELS.find((level) => level === lower) ?? LITHOPS_NAMES[name.toUpperCase()]
}

/** Whether a message of `level` is told when `chosen` is set. */
export function isTold(level: LogLevel, chosen: LogLevel): boolean {
  return LOG_LEVELS.indexOf(level) <= LOG_LEVELS.indexOf(chosen)
}

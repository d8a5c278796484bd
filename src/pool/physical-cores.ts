/** How many cores this machine has, where one core may show as several processors. */

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { messageOf } from '../core/errors.ts'

/** Texts that tell of cores; each throws where the system has no such thing. */
export interface CoreProbe {
  lscpu(): string
  cpuinfo(): string
}

const PROBE_TIMEOUT_MS = 2_000

const SYSTEM: CoreProbe = {
  lscpu: () =>
    execFileSync('lscpu', ['--parse=core'], {
      encoding: 'utf8',
      timeout: PROBE_TIMEOUT_MS,
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  cpuinfo: () => readFileSync('/proc/cpuinfo', 'utf8'),
}

/**
 * Gives a function that asks once and remembers: the number of cores, or undefined where none can be found out, of which
 * `warn` is told the first time.
 */
export function coreCounter(warn: (message: string) => void, probe: CoreProbe = SYSTEM): () => number | undefined {
  let found: { readonly cores: number | undefined } | undefined
  return () => {
    if (found !== undefined) return found.cores
    const failures: string[] = []
    const cores =
      attempt(() => coresOfLscpu(probe.lscpu()), failures) ?? attempt(() => coresOfCpuinfo(probe.cpuinfo()), failures)
    found = { cores }
    if (cores === undefined) {
      warn(`the number of physical cores could not be found (${failures.join('; ')}): counting logical ones`)
    }
    return cores
  }
}

function attempt(count: () => number, failures: string[]): number | undefined {
  try {
    const cores = count()
    if (cores > 0) return cores
    failures.push('no core was listed')
  } catch (error) {
    failures.push(messageOf(error))
  }
  return undefined
}

/** One line a processor with the number of its core; comments begin with `#`. */
function coresOfLscpu(text: string): number {
  return new Set(text.split('\n').filter((line) => /^\d+/.test(line))).size
}

/** One paragraph a processor; cores are numbered within their package. */
function coresOfCpuinfo(text: string): number {
  const cores = new Set<string>()
  for (const paragraph of text.split(/\n\s*\n/)) {
    const core = /^core id\s*:\s*(\d+)/m.exec(paragraph)?.[1]
    if (core !== undefined) cores.add(`${/^physical id\s*:\s*(\d+)/m.exec(paragraph)?.[1] ?? 0}/${core}`)
  }
  return cores.size
}

/**
 * How a worker process is started: pure functions from this process's flags and environment to the worker's.
 * Loaders are inherited (a worker must read the modules its driver reads); what debugs, measures, watches or replaces
 * the driver's own program is not.
 */
const DROPPED = /^--(inspect|test|cpu-prof|heap-prof|input-type|watch|debug-port|(eval|print|check|interactive)(=|$))/

/** Flags whose value is the next argument when it is not joined by `=`. */
const DROPPED_WITH_VALUE: ReadonlySet<string> = new Set([
  '-e',
  '--eval',
  '-p',
  '--print',
  '-pe',
  '--input-type',
  '--watch-path',
  '--inspect-port',
  '--debug-port',
  '--cpu-prof-dir',
  '--cpu-prof-name',
  '--cpu-prof-interval',
  '--heap-prof-dir',
  '--heap-prof-name',
  '--heap-prof-interval',
  '--test-name-pattern',
  '--test-reporter',
  '--test-reporter-destination',
])

const DROPPED_SHORT: ReadonlySet<string> = new Set(['-e', '-p', '-pe', '-c', '-i'])

/** The flags of `execArgv` that a worker inherits. */
export function inheritedFlags(execArgv: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i < execArgv.length; i++) {
    const flag = execArgv[i] as string
    if (!DROPPED.test(flag) && !DROPPED_SHORT.has(flag)) {
      kept.push(flag)
      continue
    }
    const next = execArgv[i + 1]
    if (DROPPED_WITH_VALUE.has(flag) && next !== undefined && !next.startsWith('-')) i += 1
  }
  return kept
}

/** The environment of a worker: the driver's without the same flags, without a test runner's, with `added`. */
export function inheritedEnv(
  env: Readonly<Record<string, string | undefined>>,
  added: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || name.startsWith('VITEST') || name === 'NODE_CHANNEL_FD') continue
    if (name !== 'NODE_OPTIONS') kept[name] = value
    else if (value.trim() !== '') kept[name] = inheritedFlags(splitNodeOptions(value)).join(' ')
  }
  return { ...kept, ...added }
}

/** Flags that make Node read TypeScript, when the entry is TypeScript and no inherited flag does so already. */
export function loaderFlags(entry: URL, inherited: readonly string[], tsxLoader: () => string): string[] {
  if (!/\.[cm]?ts$/.test(entry.pathname)) return []
  return inherited.some((flag) => /\btsx\b/.test(flag)) ? [] : ['--import', tsxLoader()]
}

/** NODE_OPTIONS splits at spaces outside double quotes; quoting is kept, so that what stays can be joined again. */
function splitNodeOptions(value: string): string[] {
  return value.match(/(?:"(?:\\.|[^"\\])*"|[^\s"])+/g) ?? []
}

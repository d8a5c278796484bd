/**
 * How a worker is started: pure functions from this process's flags and environment to the worker's.
 * Loaders are inherited (a worker must read the modules its driver reads); what debugs, measures, watches or replaces
 * the driver's own program is not.
 */
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

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

const TYPESCRIPT = /\.[cm]?ts$/

/** Flags that make Node read TypeScript, when the entry is TypeScript and no inherited flag does so already. */
export function loaderFlags(entry: URL, inherited: readonly string[], tsxLoader: () => string): string[] {
  if (!TYPESCRIPT.test(entry.pathname)) return []
  return inherited.some((flag) => /\btsx\b/.test(flag)) ? [] : ['--import', tsxLoader()]
}

/** What Node is told to import to read TypeScript. @throws when tsx is not installed */
export function tsxLoader(): string {
  return pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
}

/**
 * What a thread is started with: the entry itself, or, for TypeScript, a module that loads it through tsx. Flags do not
 * do that: in threads, Node 20 does not apply what `--import` registers.
 */
export function threadEntry(entry: URL): URL {
  if (!TYPESCRIPT.test(entry.pathname)) return entry
  const code = `import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
const require = createRequire(${JSON.stringify(import.meta.url)})
const api = require('tsx/package.json').exports['./esm/api'].import.default
const { register } = await import(new URL(api, pathToFileURL(require.resolve('tsx/package.json'))))
register()
await import(${JSON.stringify(entry.href)})`
  return new URL(`data:text/javascript,${encodeURIComponent(code)}`)
}

/** Without the flags that Node, in its error, says a thread cannot have: they hold for the whole process. */
export function withoutRefused(flags: readonly string[], message: string): string[] {
  const refused = new Set(message.slice(message.indexOf(': ') + 2).split(', '))
  return flags.filter((flag) => !refused.has(flag))
}

/** NODE_OPTIONS splits at spaces outside double quotes; quoting is kept, so that what stays can be joined again. */
function splitNodeOptions(value: string): string[] {
  return value.match(/(?:"(?:\\.|[^"\\])*"|[^\s"])+/g) ?? []
}

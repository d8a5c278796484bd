/** Where the configuration is found, in order, and how its text is read. Knows nothing of what it may say. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { ConfigError } from '../core/errors.ts'
import { isRecord, show } from '../core/fields.ts'

export interface SourceOptions {
  /** The constructor's `config`; used instead of any file. */
  readonly config?: Readonly<Record<string, unknown>> | undefined
  readonly configFile?: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly home: string
  /** The text of a file, undefined when there is none. */
  readonly readFile?: (path: string) => string | undefined
}

export interface ConfigSource {
  /** For messages: a path, `QUERN_CONFIG`, `config`, `defaults`. */
  readonly name: string
  readonly file: Readonly<Record<string, unknown>>
}

/**
 * The first that is there: `config` > `configFile` > `QUERN_CONFIG` > `QUERN_CONFIG_FILE` > `.quern/config.yaml` here
 * or in a folder above > `~/.quern/config.yaml` > nothing at all.
 * @throws ConfigError when a file that was named is missing, or what is found is not JSON or YAML
 */
export function findConfig(options: SourceOptions): ConfigSource {
  const { config, configFile, env, cwd, home, readFile = readFileIfThere } = options
  if (config !== undefined) return { name: 'config', file: asFile(config, 'config') }
  if (configFile !== undefined) return named(resolve(cwd, configFile), 'configFile', readFile)
  if (env.QUERN_CONFIG) return { name: 'QUERN_CONFIG', file: parseText(env.QUERN_CONFIG, 'QUERN_CONFIG') }
  if (env.QUERN_CONFIG_FILE) return named(resolve(cwd, env.QUERN_CONFIG_FILE), 'QUERN_CONFIG_FILE', readFile)
  for (const folder of [...upwards(cwd), home]) {
    const path = join(folder, '.quern', 'config.yaml')
    const text = readFile(path)
    if (text !== undefined) return { name: path, file: parseText(text, path) }
  }
  return { name: 'defaults', file: {} }
}

function named(path: string, by: string, readFile: (path: string) => string | undefined): ConfigSource {
  const text = readFile(path)
  if (text === undefined) throw new ConfigError(`${by}: no such file: ${path}`)
  return { name: path, file: parseText(text, path) }
}

/** Errors of the parsers are not passed on: they quote the text, which may hold credentials. */
function parseText(text: string, name: string): Readonly<Record<string, unknown>> {
  if (text.trimStart().startsWith('{')) {
    try {
      return asFile(JSON.parse(text) as unknown, name)
    } catch (error) {
      if (error instanceof ConfigError) throw error
      throw new ConfigError(`${name}: begins with '{' but is not valid JSON`)
    }
  }
  // loaded only here: most programs have no file, and the parser costs 50 ms
  const { parseDocument } = createRequire(import.meta.url)('yaml') as typeof import('yaml')
  const document = parseDocument(text, { prettyErrors: true })
  const error = document.errors[0]
  if (error !== undefined) {
    const line = error.linePos?.[0].line
    throw new ConfigError(`${name}: not valid YAML${line === undefined ? '' : `, line ${line}`} (${error.code})`)
  }
  return asFile(document.toJS() as unknown, name)
}

function asFile(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (value === null || value === undefined) return {}
  if (!isRecord(value)) throw new ConfigError(`${name}: expected sections such as 'quern:', got ${show(value)}`)
  return value
}

function upwards(folder: string): string[] {
  const above = dirname(folder)
  return above === folder ? [folder] : [folder, ...upwards(above)]
}

function readFileIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new ConfigError(`cannot read the configuration ${path} (${code})`, { cause: error })
  }
}

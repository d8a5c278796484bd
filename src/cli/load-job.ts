/** Job files: TypeScript or JavaScript, imported as they are; their functions travel as references to the file. */

import { existsSync } from 'node:fs'
import { parse, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { messageOf } from '../core/errors.ts'
import { moduleFunction, moduleReducer } from '../functions/module-function.ts'
import { SHIPPED } from '../functions/shipped.ts'
import { UsageError } from './failures.ts'
import { isJobFile, type JobFile } from './job-file.ts'

export interface LoadedJob {
  readonly input: JobFile['input']
  readonly map: (...args: never[]) => unknown
  /** A function or a Reducer; undefined for a job that only maps. */
  readonly reduce: unknown
  readonly options: Readonly<Record<string, unknown>>
}

/** @throws UsageError when there is no such file, it cannot be imported, or its default export is no `job({ … })` */
export async function loadJob(path: string, cwd: string): Promise<LoadedJob> {
  const file = resolve(cwd, path)
  if (!existsSync(file)) throw new UsageError(`no such job file: ${file}`)
  const url = pathToFileURL(file).href
  const { job, exportName } = await importJob(url, path)
  const { input, map, reduce, options = {}, output } = job
  return {
    input,
    map: isReference(map) ? map : named(moduleFunction(url, `${exportName}.map`), parse(file).name),
    reduce: reduceByReference(reduce, url, `${exportName}.reduce`),
    options: { ...options, ...(output === undefined ? {} : { output }) },
  }
}

async function importJob(url: string, path: string): Promise<{ job: JobFile; exportName: string }> {
  // every job file is loaded by the loader its workers use, so that both see the same module
  const [esm, cjs] = await Promise.all([import('tsx/esm/api'), import('tsx/cjs/api')])
  const unregister = [esm.register(), cjs.register()]
  let module: { readonly default?: unknown }
  try {
    module = await import(url)
  } catch (cause) {
    const message = messageOf(cause)
    throw new UsageError(`cannot import ${path}: ${message}`, { cause })
  } finally {
    for (const each of unregister) await each()
  }
  const { default: exported } = module
  if (isJobFile(exported)) return { job: exported, exportName: 'default' }
  // a file in a package of "type": "commonjs" has its exports one level deeper
  const inner = (exported as { readonly default?: unknown } | undefined)?.default
  if (isJobFile(inner)) return { job: inner, exportName: 'default.default' }
  throw new UsageError(`${path}: expected 'export default job({ input, map, … })', got ${nameOf(exported)}`)
}

function reduceByReference(reduce: unknown, url: string, exportName: string): unknown {
  if (reduce === undefined || isReference(reduce)) return reduce
  return typeof reduce === 'function'
    ? moduleFunction(url, exportName)
    : moduleReducer(url, exportName, reduce as object)
}

/** Progress and errors call a job by the name of its function. */
function named<F extends object>(fn: F, name: string): F {
  return Object.defineProperty(fn, 'name', { value: name })
}

/** Built-in reducers, and what a module marks itself, know where they come from. */
function isReference(value: unknown): boolean {
  return Object(value)[SHIPPED] !== undefined
}

function nameOf(exported: unknown): string {
  return exported === undefined ? 'no default export' : `a default export of type ${typeof exported}`
}

/**
 * Bundles a shipped function for workers that do not see this file system: local modules go with it, packages are left
 * to the worker unless named. esbuild does it; it is an optional peer, loaded when a function is first bundled.
 */
import { existsSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type * as Esbuild from 'esbuild'
import { ConfigError, messageOf, SerializationError, ValidationError } from '../core/errors.ts'
import { type FunctionBlob, isLocal, makeBlob, moduleKey } from './blob.ts'
import type { ShippedArgument, ShippedCode, ShippedFunction } from './shipped.ts'
import { fromVite } from './vite-paths.ts'

export interface BundleOptions {
  /** Packages that go with the function, beside its local modules; `null`: nothing goes with it. */
  readonly includeModules?: readonly string[] | null | undefined
  /** Packages and local modules (by the end of their path) that are left to the worker's installation. */
  readonly excludeModules?: readonly string[] | undefined
}

/** Something a function needs: `specifier` as the module `parent` names it. */
export interface Need {
  readonly parent: string
  readonly specifier: string
  readonly as: 'namespace' | 'require'
}

/**
 * The function as one blob.
 *
 * @throws ConfigError when esbuild is not installed
 * @throws ValidationError when what is to be included is not there
 * @throws SerializationError when a module cannot be bundled
 */
export async function bundleFunction(fn: ShippedFunction, options: BundleOptions = {}): Promise<FunctionBlob> {
  requireIncluded(options.includeModules ?? [])
  const needs = [...uniqueNeeds(fn)].filter((need) => isBundled(need, options))
  return makeBlob({ fn, code: needs.length === 0 ? '' : await bundled(needs, options) })
}

function uniqueNeeds(fn: ShippedFunction): Iterable<Need> {
  const found = new Map<string, Need>()
  for (const need of needsOf(fn)) found.set(moduleKey(need.parent, need.specifier, need.as), need)
  return found.values()
}

/** What a function's modules must give it, repeats included. */
export function needsOf(fn: ShippedFunction): Need[] {
  if (fn.kind === 'text') return []
  if (fn.kind === 'object') return Object.values(fn.methods).flatMap(needsOf)
  if (fn.kind === 'module') return [whole(fn.url), ...(fn.args ?? []).flatMap(argumentNeeds)]
  return fn.units.flatMap((unit) => {
    if (unit.kind === 'module') return [whole(unit.url)]
    return unit.kind === 'code' ? codeNeeds(unit) : []
  })
}

function argumentNeeds(argument: unknown): Need[] {
  const isShipped = typeof argument === 'object' && argument !== null && Object.hasOwn(argument, '$fn')
  return isShipped ? needsOf((argument as ShippedArgument).$fn) : []
}

function codeNeeds({ module: parent, imports, dynamic = [] }: ShippedCode): Need[] {
  const needs: Need[] = dynamic
    .filter((name) => name !== '')
    .map((specifier) => ({ parent, specifier, as: 'namespace' }))
  for (const { specifier, as } of Object.values(imports)) {
    if (as === 'namespace') needs.push({ parent, specifier, as })
    else if (as === 'require' || as === 'interop') needs.push({ parent, specifier, as: 'require' })
  }
  return needs
}

function whole(url: string): Need {
  return { parent: url, specifier: url, as: 'namespace' }
}

/** @throws ValidationError naming the one that is neither an installed package nor a file */
function requireIncluded(names: readonly string[]): void {
  for (const [i, name] of names.entries()) {
    const there = isLocal(name) ? existsSync(resolve(name)) : isBuiltin(name) || isInstalled(name, process.cwd())
    if (there) continue
    throw new ValidationError(
      `includeModules[${i}]: expected a package that is installed or a file that is there, got '${name}'`,
    )
  }
}

function isInstalled(name: string, from: string): boolean {
  const above = dirname(from)
  return existsSync(join(from, 'node_modules', name)) || (above !== from && isInstalled(name, above))
}

function isBundled({ specifier }: Need, options: BundleOptions): boolean {
  if (options.includeModules === null || isBuiltin(specifier)) return false
  const [, installed] = /^.*\/node_modules\/([^./].*)$/.exec(specifier) ?? []
  if (isLocal(specifier) && installed === undefined) return !isExcludedFile(specifier, options)
  return isIncluded(installed ?? specifier, options)
}

function isIncluded(name: string, { includeModules, excludeModules = [] }: BundleOptions): boolean {
  return namesPackage(includeModules ?? [], name) && !namesPackage(excludeModules, name)
}

function isExcludedFile(path: string, { excludeModules = [] }: BundleOptions): boolean {
  const bare = withoutQuery(path)
  return excludeModules.some((end) => bare.endsWith(end.replace(/^\.?\//, '')))
}

async function bundled(needs: readonly Need[], options: BundleOptions): Promise<string> {
  const esbuild = await loadEsbuild()
  const lines = needs.map(({ as }, i) =>
    as === 'namespace' ? `import * as m${i} from 'quern:${i}'` : `const m${i} = require('quern:${i}')`,
  )
  const keys = needs.map(({ parent, specifier, as }, i) => `${JSON.stringify(moduleKey(parent, specifier, as))}: m${i}`)
  try {
    const { outputFiles } = await esbuild.build({
      stdin: {
        contents: `${lines.join('\n')}\nexport const modules = { ${keys.join(', ')} }`,
        resolveDir: process.cwd(),
      },
      bundle: true,
      write: false,
      format: 'cjs',
      platform: 'node',
      target: 'node20',
      keepNames: true,
      define: { 'import.meta.url': JSON.stringify(needs[0]?.parent) },
      logLevel: 'silent',
      plugins: [placement(needs, options)],
    })
    return outputFiles[0]?.text ?? ''
  } catch (cause) {
    throw new SerializationError(`the modules of a function cannot be bundled: ${messageOf(cause)}`, { cause })
  }
}

/** Finds what the function needs where its module would, and leaves out what the worker has. */
function placement(needs: readonly Need[], options: BundleOptions): Esbuild.Plugin {
  return {
    name: 'quern',
    setup(build) {
      build.onResolve({ filter: /^quern:\d+$/ }, async ({ path }) => {
        const { parent, specifier, as } = needs[Number(path.slice('quern:'.length))] as Need
        const kind = as === 'namespace' ? 'import-statement' : 'require-call'
        const local = specifier.startsWith('/') ? fromVite(specifier, process.cwd()) : specifier
        const file = local.startsWith('file:') ? fileURLToPath(withoutQuery(local)) : withoutQuery(local)
        return build.resolve(file, {
          resolveDir: dirname(fileURLToPath(withoutQuery(parent))),
          kind,
          pluginData: 'asked',
        })
      })
      build.onResolve({ filter: /^\.{0,2}\// }, ({ path, resolveDir, pluginData }) => {
        const file = resolve(resolveDir, path)
        return pluginData !== 'asked' && isExcludedFile(file, options) ? { path: file, external: true } : undefined
      })
      build.onResolve({ filter: /^[^./]/ }, ({ path, pluginData, importer }) => {
        if (pluginData === 'asked' || isBuiltin(path) || /^[A-Za-z]:\\/.test(path)) return undefined
        // what a bundled package needs goes with it
        const needed = importer.includes('/node_modules/') && !namesPackage(options.excludeModules ?? [], path)
        return needed || isIncluded(path, options) ? undefined : { path, external: true }
      })
    },
  }
}

async function loadEsbuild(): Promise<typeof Esbuild> {
  try {
    return await import('esbuild')
  } catch (cause) {
    throw new ConfigError('bundling functions for other machines needs esbuild: npm install esbuild', { cause })
  }
}

function namesPackage(names: readonly string[], specifier: string): boolean {
  return names.some((name) => specifier === name || specifier.startsWith(`${name}/`))
}

function withoutQuery(specifier: string): string {
  return specifier.replace(/[?#].*$/, '')
}

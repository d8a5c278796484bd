/**
 * Whether a function is still the one that was shipped. What travels by value is as it was; what is referred to (a
 * module, imports of a text) is the content of its file and of the local files that one imports, however deep.
 *
 * Packages count by their name alone, and so does quern itself: an installation that is updated is no new function.
 * Imports are found in the text without parsing it, which may find too many and never too few of the static ones.
 */
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isLocal } from './blob.ts'
import { needsOf } from './bundle.ts'
import type { ShippedBlob, ShippedFunction } from './shipped.ts'

const IMPORTS = [
  /\b(?:import|export)\b[^'"`]*?\bfrom\s*['"]([^'"\n]+)['"]/g,
  /\bimport\s*['"]([^'"\n]+)['"]/g,
  /\b(?:import|require)\s*\(\s*['"]([^'"\n]+)['"]/g,
]

const EXTENSIONS = ['.ts', '.tsx', '.mts', '.cts', '.js', '.mjs', '.cjs', '.json']

const OWN_FOLDERS = ['../', '../../partitioner/', '../../reducers/'].map((to) => new URL(to, import.meta.url).href)

/** SHA-256 in hex; the same as long as the function, run again, does the same. */
export async function functionIdentity(fn: ShippedFunction | ShippedBlob): Promise<string> {
  if (fn.kind === 'blob') return fn.hash
  const files = new Map<string, string>()
  for (const { parent, specifier } of needsOf(fn)) await addFile(specifier, parent, files)
  const hash = createHash('sha256').update(JSON.stringify(withoutPlaces(fn)))
  for (const url of [...files.keys()].sort()) hash.update(`\n${url} ${files.get(url)}`)
  return hash.digest('hex')
}

/** Without what numbers texts within one process. */
function withoutPlaces(fn: ShippedFunction): unknown {
  if (fn.kind === 'text') return { ...fn, source: undefined }
  if (fn.kind === 'object') return Object.values(fn.methods).map(withoutPlaces)
  if (fn.kind !== 'closure') return fn
  return { ...fn, units: fn.units.map((unit) => (unit.kind === 'code' ? { ...unit, file: unit.module } : unit)) }
}

/** By URL: the hash of a file's content, and of all it imports. */
async function addFile(specifier: string, parent: string, files: Map<string, string>): Promise<void> {
  const url = await resolveLocal(specifier, parent)
  if (url === undefined || files.has(url)) return
  const content = await readFile(fileURLToPath(url))
  files.set(url, createHash('sha256').update(content).digest('hex'))
  const text = content.toString('utf8')
  for (const pattern of IMPORTS) {
    for (const [, imported = ''] of text.matchAll(pattern)) await addFile(imported, url, files)
  }
}

/** Undefined for what is no file of the user's. */
async function resolveLocal(specifier: string, parent: string): Promise<string | undefined> {
  if (!isLocal(specifier) || !URL.canParse(specifier, parent)) return undefined
  const { protocol, pathname } = new URL(specifier, parent)
  if (protocol !== 'file:' || pathname.includes('/node_modules/')) return undefined
  const url = `file://${pathname}`
  if (OWN_FOLDERS.some((folder) => url.startsWith(folder))) return undefined
  for (const path of candidates(fileURLToPath(url))) {
    const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
      throw error
    })
    if (found?.isFile() === true) return pathToFileURL(path).href
  }
  return undefined
}

function candidates(path: string): string[] {
  const typed = path.replace(/\.([mc]?)jsx?$/, '.$1ts')
  const ends = EXTENSIONS.map((extension) => `${path}${extension}`)
  return [path, typed, typed.replace(/\.ts$/, '.tsx'), ...ends, ...EXTENSIONS.map((end) => `${path}/index${end}`)]
}

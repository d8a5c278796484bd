/** What runs because it was started, not because it was imported: the program itself, a test file, a REPL. */
import { realpathSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

/** A worker must never load the module at `url`: it would run the program again. */
export function isEntryModule(url: string): boolean {
  const clean = url.replace(/[?#].*$/, '')
  if (/\/\[eval\d*\](?:-wrapper)?$/.test(clean)) return true
  const entry = process.argv[1]
  if (entry !== undefined && entryUrls(entry).includes(clean)) return true
  const testFile = (globalThis as { __vitest_worker__?: { filepath?: string } }).__vitest_worker__?.filepath
  return testFile !== undefined && pathToFileURL(testFile).href === clean
}

// a cache: the file that was started stays what it is
const urls = new Map<string, readonly string[]>()

function entryUrls(path: string): readonly string[] {
  const known = urls.get(path)
  if (known !== undefined) return known
  const found = fileUrls(path)
  urls.set(path, found)
  return found
}

function fileUrls(path: string): string[] {
  const given = pathToFileURL(path).href
  // a bin link, or a path given without its extension
  const candidates = [path, `${path}.js`, `${path}.ts`].flatMap((candidate) => {
    try {
      return [pathToFileURL(realpathSync(candidate)).href]
    } catch {
      return []
    }
  })
  return [given, ...candidates]
}

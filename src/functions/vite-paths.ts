/** How vite (vitest) writes what a module imports. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** The folder that vite's paths begin at. */
export function viteRoot(): string {
  const worker = (globalThis as { __vitest_worker__?: { config?: { root?: string } } }).__vitest_worker__
  return worker?.config?.root ?? process.cwd()
}

/** The specifier Node understands: paths count from the root, are marked when outside, and may carry a version. */
export function fromVite(specifier: string, root: string): string {
  if (!specifier.startsWith('/')) return specifier
  const clean = specifier.replace(/\?(?:v|t)=[^&]*$/, '')
  if (clean.startsWith('/@fs/')) return pathToFileURL(clean.slice('/@fs'.length)).href
  if (clean.startsWith('/@id/')) return clean.slice('/@id/'.length)
  const inRoot = join(root, clean)
  return pathToFileURL(existsSync(inRoot) ? inRoot : clean).href
}

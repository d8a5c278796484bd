/** The package as users get it: `dist`, built when a source is newer, once for all test files that run beside each other. */
import { execFile } from 'node:child_process'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const CLI = join(ROOT, 'dist/src/entry/cli.js')

const LOCK = join(ROOT, 'node_modules/.quern-build')
const SOURCES = ['src', 'partitioner', 'reducers', 'test/conformance', 'scripts', 'tsconfig.build.json', 'package.json']

export interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Builds the package if need be. */
export async function buildPackage(): Promise<void> {
  while (!(await takeLock())) await new Promise((resolve) => setTimeout(resolve, 200))
  try {
    if (await isStale()) await succeed('npm', ['run', 'build'], ROOT)
  } finally {
    await rm(LOCK, { recursive: true, force: true })
  }
}

/** Runs the built command line; a failure is an exit code, not an exception. */
export function quern(args: readonly string[], cwd: string = ROOT, env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  return finish(process.execPath, [CLI, ...args], cwd, env)
}

/** @throws Error with all output, when the program fails */
export async function succeed(file: string, args: readonly string[], cwd: string): Promise<string> {
  const { code, stdout, stderr } = await finish(file, args, cwd)
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} in ${cwd}: exit code ${code}\n${stdout}\n${stderr}`)
  return stdout
}

export async function finish(
  file: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Finished> {
  try {
    const options = { cwd, env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 }
    return { code: 0, ...(await promisify(execFile)(file, args, options)) }
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string }
    if (typeof code !== 'number') throw error
    return { code, stdout: stdout ?? '', stderr: stderr ?? '' }
  }
}

/** A lock left behind by a run that was killed is taken over after five minutes. */
async function takeLock(): Promise<boolean> {
  try {
    await mkdir(LOCK)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const lock = await stat(LOCK).catch(() => undefined)
  if (lock !== undefined && Date.now() - lock.mtimeMs > 300_000) await rm(LOCK, { recursive: true, force: true })
  return false
}

async function isStale(): Promise<boolean> {
  const built = await stat(CLI).catch(() => undefined)
  if (built === undefined) return true
  for (const source of SOURCES) {
    const path = join(ROOT, source)
    const isFolder = (await stat(path)).isDirectory()
    const files = isFolder ? await readdir(path, { recursive: true, withFileTypes: true }) : []
    const paths = isFolder ? files.filter((f) => f.isFile()).map((f) => join(f.parentPath, f.name)) : [path]
    for (const file of paths) if ((await stat(file)).mtimeMs > built.mtimeMs) return true
  }
  return false
}

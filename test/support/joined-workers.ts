/**
 * The workers' programs, and others that tests start by the dozen, joined into few files of JavaScript, as the build
 * does it, before the tests start: a program that reads its hundred modules through the TypeScript loader takes three
 * times as long to start, and the tests start thousands. Modules keep the URL of their source.
 */
import { rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'
import { PROGRAMS, PROGRAMS_VARIABLE } from './joined-programs.ts'

const WORKERS = { worker: 'src/entry/worker.ts', 'task-worker': 'src/entry/task-worker.ts' }
/** Hundreds of modules, which every worker loads that reads from S3. */
const SDK = '@aws-sdk/client-s3'
/** Within the project, so that packages are found from there; of this run alone. */
const FOLDER = `node_modules/.cache/quern-test-workers-${process.pid}`

/** Where each module that starts workers says which program they run, and what it says. */
const SAID = [
  [/\/src\/backends\.ts$/, /new URL\(import\.meta\.url\.endsWith\('\.ts'\)[^)]*\)/, 'worker'],
  [/\/src\/futures\/task-worker-entry\.ts$/, /new URL\([^)]*, import\.meta\.url\)/, 'task-worker'],
] as const

/** Gives what removes them. */
export default async function joinWorkers(): Promise<() => void> {
  const common = { outdir: FOLDER, bundle: true, format: 'esm', platform: 'node', target: 'node20' } as const
  await Promise.all([
    build({
      ...common,
      entryPoints: { ...PROGRAMS, ...WORKERS },
      chunkNames: '[name]-[hash]',
      splitting: true,
      packages: 'external',
      keepNames: true,
      sourcemap: true,
      plugins: [joinedSdk, urlsOfSources],
      logLevel: 'warning',
    }),
    build({
      ...common,
      entryPoints: { sdk: SDK },
      mainFields: ['module', 'main'],
      // parts of it are CommonJS
      banner: { js: "import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)" },
      logLevel: 'error',
    }),
  ])
  process.env[PROGRAMS_VARIABLE] = fileURLToPath(new URL(`../../${FOLDER}`, import.meta.url))
  return () => rmSync(FOLDER, { recursive: true, force: true })
}

const joinedSdk: Plugin = {
  name: 'joined-sdk',
  setup(context) {
    context.onResolve({ filter: new RegExp(`^${SDK}$`) }, () => ({ path: './sdk.js', external: true }))
  },
}

const urlsOfSources: Plugin = {
  name: 'urls-of-sources',
  setup(context) {
    context.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const text = startingJoined(await readFile(path, 'utf8'), path)
      return { contents: text.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href)), loader: 'ts' }
    })
  },
}

/** A vite plugin: the modules that start workers start the joined ones. */
export const startJoinedWorkers = {
  name: 'start-joined-workers',
  enforce: 'pre' as const,
  transform: startingJoined,
}

/** The text of a module, with the joined program where it says which one its workers run. */
function startingJoined(code: string, id: string): string {
  const said = SAID.find(([module]) => module.test(id))
  if (said === undefined) return code
  const [, entry, name] = said
  const url = new URL(`../../${FOLDER}/${name}.js`, import.meta.url).href
  if (!entry.test(code)) throw new Error(`${id} does not say any more which program its workers run`)
  return code.replace(entry, `new URL(${JSON.stringify(url)})`)
}

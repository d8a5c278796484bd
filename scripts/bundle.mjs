/**
 * The second half of the build: joins what tsc emitted into a few files per entry point. A cold program loads some
 * hundred small modules otherwise, which takes longer than starting Node. Types and the modules that are loaded by
 * their URL (built-in reducers) stay as tsc emitted them.
 */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { build } from 'esbuild'
import { withOuterNames } from './outer-names.mjs'

const DIST = path.resolve('dist')
const ENTRIES = [
  'src/entry/index.js',
  'src/entry/storage.js',
  'src/entry/futures.js',
  'src/entry/worker.js',
  'src/entry/task-worker.js',
  'src/entry/cli.js',
  'reducers/index.js',
  'partitioner/index.js',
  'test/conformance/index.js',
]

/** In a joined file `import.meta.url` still means the module it was written in, found from the folder `dist`. */
const urlsOfModules = {
  name: 'urls-of-modules',
  setup(context) {
    context.onLoad({ filter: /\.js$/ }, async ({ path: file }) => {
      if (!file.startsWith(DIST + path.sep)) return undefined
      const text = await readFile(file, 'utf8')
      const module = path.relative(DIST, file).split(path.sep).join('/')
      const url = `(import.meta.url.slice(0, import.meta.url.lastIndexOf("/dist/") + 6) + ${JSON.stringify(module)})`
      return { contents: text.replaceAll('import.meta.url', url), loader: 'js', resolveDir: path.dirname(file) }
    })
  },
}

const { outputFiles } = await build({
  entryPoints: ENTRIES.map((entry) => path.join(DIST, entry)),
  outdir: DIST,
  outbase: DIST,
  chunkNames: 'chunks/[name]-[hash]',
  allowOverwrite: true,
  write: false,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  // names of classes and functions show in errors and logs
  keepNames: true,
  sourcemap: true,
  plugins: [urlsOfModules],
  logLevel: 'warning',
})

for (const { path: file, text } of outputFiles) {
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, file.endsWith('.js') ? withOuterNames(text) : text)
  // `npx quern` in a clone runs it as it lies here
  if (text.startsWith('#!')) await chmod(file, 0o755)
}

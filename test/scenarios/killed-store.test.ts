/**
 * The store itself is killed under a durable job with outputs and started again on the same port, or frozen for a while.
 * The job ends, without a try of the user's function more than the store's absence cost, with what it would have had.
 * QUERN_TEST_LARGE: at every moment, for longer.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { FunctionExecutor, type ObjectPartition, objects } from '../../src/entry/index.ts'
import { joinedProgram } from '../support/joined-programs.ts'
import { configOf, countsOf, TEXTS } from '../support/kill-job.ts'

const LARGE = process.env.QUERN_TEST_LARGE === '1'

const MOMENTS = {
  'before its name is claimed': ['before', 'PUT', '/job.json'],
  'after its name was claimed': ['after', 'PUT', '/job.json'],
  'while its lease is put': ['before', 'PUT', '/driver.json'],
  'before an object is read': ['before', 'GET', 'data/'],
  'halfway through an object': ['halfway', 'GET', 'data/'],
  'before a commit': ['before', 'PUT', '/commits/M'],
  'after a commit': ['after', 'PUT', '/commits/M'],
  'after the commit of an output': ['after', 'PUT', '/commits/R'],
  'before an output is published': ['before', 'PUT', 'out/'],
  'after an output was published': ['after', 'PUT', 'out/'],
  'before the manifest': ['before', 'PUT', '_quern/manifest.json'],
  'after the manifest': ['after', 'PUT', '_quern/manifest.json'],
  'while its attempts are listed': ['before', 'LIST', ''],
} as const
type Moment = keyof typeof MOMENTS

interface Case {
  readonly fate: 'killed' | 'frozen'
  readonly moment: Moment
  readonly awayMs: number
}

const CASES: readonly Case[] = LARGE
  ? (Object.keys(MOMENTS) as Moment[]).flatMap((moment) => [
      { fate: 'killed', moment, awayMs: 8_000 },
      { fate: 'frozen', moment, awayMs: 20_000 },
    ])
  : [
      { fate: 'killed', moment: 'halfway through an object', awayMs: 100 },
      { fate: 'killed', moment: 'after a commit', awayMs: 100 },
      { fate: 'frozen', moment: 'before an output is published', awayMs: 300 },
    ]

let folder: string
let server: ChildProcess
let port: number
let exec: FunctionExecutor

/** The store with the objects of before, to be struck at that moment. */
async function start(moment?: Moment): Promise<void> {
  const strike = moment === undefined ? [] : MOMENTS[moment]
  server = fork(joinedProgram('durable-s3'), [folder, `${port}`, ...strike])
  ;[port] = (await once(server, 'message')) as [number]
}

async function stop(): Promise<void> {
  const gone = once(server, 'exit')
  server.kill('SIGKILL')
  await gone
}

const held = (under: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder)
      .map(decodeURIComponent)
      .filter((key) => key.startsWith(under))
      .sort()
      .map((key) => [key, readFileSync(path.join(folder, encodeURIComponent(key)), 'utf8')]),
  )

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'quern-killed-store-'))
  mkdirSync(folder, { recursive: true })
  for (const [key, text] of Object.entries(TEXTS)) writeFileSync(path.join(folder, encodeURIComponent(key)), text)
  port = 0
  await start()
  const config = configOf(`http://127.0.0.1:${port}`)
  exec = new FunctionExecutor({ config, maxWorkers: 2, showProgressbar: false, logLevel: 'error' })
})
afterAll(async () => {
  await exec.shutdown()
  await stop()
  const left = Object.keys(held('quern.jobs/'))
  rmSync(folder, { recursive: true })
  expect(left).toEqual([])
})

it.each(CASES)('$fate $moment, for $awayMs ms', { timeout: 120_000 }, async ({ fate, moment, awayMs }) => {
  await stop()
  await start(moment)
  const struck = once(server, 'message').then(async () => {
    if (fate === 'frozen') {
      server.kill('SIGSTOP')
      await wait(awayMs)
      server.kill('SIGCONT')
    } else {
      await stop()
      await wait(awayMs)
      await start()
    }
  })
  const out = `out/${fate}/${Object.keys(MOMENTS).indexOf(moment)}`
  const job = exec.mapReduce(
    async (part: ObjectPartition) => {
      const counts: Record<string, number> = {}
      for await (const line of part.lines())
        for (const word of line.split(' ')) if (word !== '') counts[word] = (counts[word] ?? 0) + 1
      return counts
    },
    objects('s3://kill/data/'),
    (parts: Record<string, number>[]) => {
      const sums: Record<string, number> = {}
      for (const part of parts) for (const [word, n] of Object.entries(part)) sums[word] = (sums[word] ?? 0) + n
      return Object.fromEntries(Object.entries(sums).sort())
    },
    { objChunkNumber: 2, objReduceByKey: true, output: `s3://kill/${out}/` },
  )
  await job
  await struck
  const { [`${out}/_quern/manifest.json`]: manifest = '{}', ...outputs } = held(`${out}/`)
  expect(Object.values(outputs).map((text) => JSON.parse(text))).toEqual(Object.values(TEXTS).map(countsOf))
  const named = JSON.parse(manifest).outputs as { key: string }[]
  expect(named.map(({ key }) => key)).toEqual(Object.keys(outputs))
  expect(await job.certificate()).toMatchObject({ complete: true })
  // without one try more: that the store was away was the store's layer's to mend
  expect([job.mapJob.stats.attempts, job.stats.attempts]).toEqual([6, 3])
})

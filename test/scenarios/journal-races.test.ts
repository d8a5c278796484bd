/** Two processes and one journal: of two commits of a call, and of two resumes of a job, exactly one wins, each time. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { createBackends, openSections } from '../../src/backends.ts'
import { loadConfig } from '../../src/config/config.ts'
import { DriverLease, readDriver } from '../../src/job/lease.ts'
import { s3Section } from '../support/backends-under-test.ts'
import { joinedProgram } from '../support/joined-programs.ts'
import { RACED_JOB, type RaceReport, type RaceStart } from '../support/journal-racer.ts'

/** A round takes a server of the tests some 50 ms. */
const ROUNDS_OF_S3 = process.env.QUERN_TEST_LARGE === '1' ? 1_000 : 100
const ROUNDS = 1_000
const server = inject('s3') ?? { kind: 'none' }

const racers: ChildProcess[] = []
const folders: string[] = []

afterEach(() => {
  for (const racer of racers.splice(0)) racer.kill('SIGKILL')
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

async function startRacer(start: RaceStart): Promise<ChildProcess> {
  const racer = fork(joinedProgram('journal-racer'), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  racers.push(racer)
  racer.send(start)
  await once(racer, 'message')
  return racer
}

async function race(start: RaceStart, rounds: number): Promise<void> {
  const { resolve, close } = createBackends(openSections(loadConfig({ config: start.config }).sections))
  const place = { backend: await resolve(start.backend), bucket: start.bucket }
  await place.backend.createBucket(start.bucket)
  await DriverLease.create(place, RACED_JOB, 0)
  const both = await Promise.all([startRacer(start), startRacer(start)])
  const wins = new Set<number>()
  for (let round = 0; round < rounds; round++) {
    const answers = both.map((racer) => once(racer, 'message') as Promise<[RaceReport]>)
    for (const racer of both) racer.send({ round })
    const [[one], [two]] = (await Promise.all(answers)) as [[RaceReport], [RaceReport]]
    const told = `round ${round}: ${JSON.stringify([one, two])}`
    expect(
      [one, two].filter(({ wonCommit }) => wonCommit),
      told,
    ).toHaveLength(1)
    expect(one.committedBy, told).toBe(two.committedBy)
    expect(one.committedBy, told).toBe(both[one.wonCommit ? 0 : 1]?.pid)
    expect(
      [one, two].filter(({ tookLease }) => tookLease),
      told,
    ).toHaveLength(1)
    wins.add(one.committedBy)
  }
  expect((await readDriver(place, RACED_JOB))?.record.epoch).toBe(rounds + 1)
  // had one always been first there would have been no race
  expect(wins.size).toBe(2)
  await close()
}

describe('two processes on one journal', () => {
  it(`on localhost, ${ROUNDS} rounds`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'quern-race-'))
    folders.push(folder)
    await race({ config: { localhost: { storageRoot: folder } }, backend: 'localhost', bucket: 'races' }, ROUNDS)
  }, 120_000)

  if (server.kind === 'none') it.skip('on a real S3 server: needs one of test/servers')
  else
    it(`on S3 (${server.kind}), ${ROUNDS_OF_S3} rounds`, async () => {
      const bucket = `races-${process.pid}-${Date.now()}`
      await race({ config: { aws_s3: s3Section(server as never, bucket) }, backend: 'aws_s3', bucket }, ROUNDS_OF_S3)
    }, 900_000)
})

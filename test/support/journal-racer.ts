/**
 * One of two processes that race for the same keys of a journal, told by its parent when. Started with fork: the first
 * message is the configuration, each further one a round.
 */
import { createBackends, openSections } from '../../src/backends.ts'
import { loadConfig } from '../../src/config/config.ts'
import { callId } from '../../src/core/ids.ts'
import { type CallEnd, commitEnd } from '../../src/job/commits.ts'
import { DriverLease, FIRST, readDriver } from '../../src/job/lease.ts'
import type { JournalPlace } from '../../src/job/place.ts'

export const RACED_JOB = 'aaaaaa-0-M000'

export interface RaceStart {
  readonly config: Readonly<Record<string, unknown>>
  readonly backend: string
  readonly bucket: string
}

export interface RaceRound {
  readonly round: number
}

/** Which commit counts in this round by what this process was told, and whether it took the lease. */
export interface RaceReport {
  readonly committedBy: number
  readonly wonCommit: boolean
  readonly tookLease: boolean
}

let place: JournalPlace | undefined

process.on('message', async (message: RaceStart | RaceRound) => {
  if ('config' in message) {
    const { resolve } = createBackends(openSections(loadConfig({ config: message.config }).sections))
    place = { backend: await resolve(message.backend), bucket: message.bucket }
    process.send?.('ready')
  } else if (place !== undefined) process.send?.(await race(place, message))
})

async function race(at: JournalPlace, { round }: RaceRound): Promise<RaceReport> {
  const seen = await readDriver(at, RACED_JOB)
  if (seen === undefined) throw new Error('the raced job has no driver')
  const result = Buffer.from(String(process.pid))
  const end = { attempt: 1, result, stats: {} as CallEnd['stats'] }
  const [{ won, commit }, lease] = await Promise.all([
    commitEnd({ ...at, name: RACED_JOB, series: 'M000' }, callId(round), end),
    seen.record.epoch === round + 1 ? DriverLease.take(at, RACED_JOB, seen, FIRST, round) : undefined,
  ])
  if (commit.type !== 'end') throw new Error(`the raced call was ${commit.type}`)
  return {
    committedBy: Number(Buffer.from(commit.end.result).toString()),
    wonCommit: won,
    tookLease: lease !== undefined,
  }
}

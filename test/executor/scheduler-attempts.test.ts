/** Tables of (call, try) → how it goes, and exactly how often each call is tried, with what memory, and how it ends. */
import { describe, expect, it } from 'vitest'
import type { CallRetries } from '../../src/executor/failure-policy.ts'
import type { FailureReason, SchedulerJob } from '../../src/executor/scheduler-protocol.ts'
import { DEFAULT_SPECULATION } from '../../src/executor/stragglers.ts'
import { type Course, play, type World } from '../support/simulated-schedule.ts'

type End = Course['end']

interface Case {
  readonly name: string
  /** By call: how its tries go, in order; those beyond succeed. */
  readonly tries: Readonly<Record<number, readonly (End | Course)[]>>
  readonly job?: Partial<SchedulerJob>
  /** By call: tries and outcome; all others succeed at once. */
  readonly ends: Readonly<Record<number, readonly [number, string]>>
  /** Memory of each invocation of call 0. */
  readonly memory?: readonly (number | undefined)[]
}

const CALLS = 20
const retries = (attempts: number, more: Partial<CallRetries> = {}) => ({ attempts, baseMs: 10, maxMs: 50, ...more })
const stall: Course = { ms: 0, end: 'stalls' }
const slow = (ms: number, end: End = 'succeeds'): Course => ({ ms, end })
const speculate = DEFAULT_SPECULATION

const cases: readonly Case[] = [
  { name: 'no failure', tries: {}, ends: {} },
  { name: 'no retries: one try', tries: { 3: ['fails'] }, ends: { 3: [1, 'function'] } },
  {
    name: 'the first try of each of three fails',
    tries: { 0: ['fails'], 1: ['fails'], 7: ['fails'] },
    job: { retries: retries(3) },
    ends: { 0: [2, 'succeeded'], 1: [2, 'succeeded'], 7: [2, 'succeeded'] },
  },
  {
    name: 'two fail, the third of three tries succeeds',
    tries: { 5: ['fails', 'dies'] },
    job: { retries: retries(3) },
    ends: { 5: [3, 'succeeded'] },
  },
  {
    name: 'all of three tries fail',
    tries: { 5: ['fails', 'fails', 'fails'] },
    job: { retries: retries(3) },
    ends: { 5: [3, 'function'] },
  },
  {
    name: 'the last failure is the one that is told',
    tries: { 5: ['fails', 'dies'] },
    job: { retries: retries(2) },
    ends: { 5: [2, 'death'] },
  },
  {
    name: 'a try over its time is tried again',
    tries: { 2: [slow(500)] },
    job: { retries: retries(2), timeoutMs: 100 },
    ends: { 2: [2, 'succeeded'] },
  },
  {
    name: 'every try over its time',
    tries: { 2: [slow(500), slow(500)] },
    job: { retries: retries(2), timeoutMs: 100 },
    ends: { 2: [2, 'timeout'] },
  },
  {
    name: 'a silent try is tried again; one as long that tells of itself is not',
    tries: { 2: [stall], 3: [slow(500)] },
    job: { retries: retries(2), silenceTimeoutMs: 100 },
    ends: { 2: [2, 'succeeded'], 3: [1, 'succeeded'] },
  },
  {
    name: 'silent without retries',
    tries: { 2: [stall] },
    job: { silenceTimeoutMs: 100 },
    ends: { 2: [1, 'silence'] },
  },
  {
    name: 'retryIf refuses what failed, at the try it failed in',
    tries: { 1: ['fails', 'fails'], 2: ['dies', 'dies'] },
    job: { retries: retries(5, { retryIf: ({ by }: FailureReason, _call, attempt) => by === 'death' || attempt < 2 }) },
    ends: { 1: [2, 'function'], 2: [3, 'succeeded'] },
  },
  {
    name: 'retryIf throws',
    tries: { 1: ['fails'] },
    job: {
      retries: retries(5, {
        retryIf: () => {
          throw new Error('no idea')
        },
      }),
    },
    ends: { 1: [1, 'error'] },
  },
  {
    name: 'the job has a budget of one retry',
    tries: { 0: ['fails', 'fails'] },
    job: { retries: retries(5, { budget: 1 }) },
    ends: { 0: [2, 'function'] },
  },
  {
    name: 'memory grows after each death for want of it, up to the most',
    tries: { 0: ['outOfMemory', 'outOfMemory', 'outOfMemory'] },
    job: { memoryMiB: 100, retries: retries(4, { memoryFactor: 3, maxMemoryMiB: 500 }) },
    ends: { 0: [4, 'succeeded'] },
    memory: [undefined, 300, 500, 500],
  },
  {
    name: 'memory doubles from the limit that the worker had, and stays after another failure',
    tries: { 0: ['outOfMemory', 'fails'] },
    job: { retries: retries(4) },
    ends: { 0: [3, 'succeeded'] },
    memory: [undefined, 200, 200],
  },
  {
    name: 'another death wants no more memory',
    tries: { 0: ['dies'] },
    job: { memoryMiB: 100, retries: retries(2) },
    ends: { 0: [2, 'succeeded'] },
    memory: [undefined, undefined],
  },
  {
    name: 'a backup beats a try that stalls',
    tries: { 4: [stall] },
    job: { speculate },
    ends: { 4: [2, 'succeeded'] },
  },
  {
    name: 'the first try beats its backup, which is stopped; both are tries',
    tries: { 4: [slow(300), slow(1_000)] },
    job: { speculate },
    ends: { 4: [2, 'succeeded'] },
  },
  {
    name: 'a failed try waits for its backup',
    tries: { 4: [slow(300, 'fails'), slow(400)] },
    job: { speculate },
    ends: { 4: [2, 'succeeded'] },
  },
  {
    name: 'a failed backup leaves the first try alone, and no other backup follows without retries',
    tries: { 4: [slow(900), slow(10, 'fails')] },
    job: { speculate },
    ends: { 4: [2, 'succeeded'] },
  },
  {
    name: 'try and backup fail: the failure is the last, and it counts for both',
    tries: { 4: [slow(300, 'fails'), slow(400, 'dies')] },
    job: { speculate },
    ends: { 4: [2, 'death'] },
  },
  {
    name: 'try and backup fail with one retry: none is left',
    tries: { 4: [slow(400, 'fails'), slow(250, 'fails')] },
    job: { speculate: { ...speculate, factor: 30 }, retries: retries(2) },
    ends: { 4: [2, 'function'] },
  },
  {
    name: 'try and backup fail with two retries: one is left',
    tries: { 4: [slow(400, 'fails'), slow(250, 'fails')] },
    job: { speculate: { ...speculate, factor: 30 }, retries: retries(3) },
    ends: { 4: [3, 'succeeded'] },
  },
  {
    name: 'a backup that is slow itself gets one, where the failed try left tries over',
    tries: { 4: [slow(300, 'fails'), slow(400, 'fails')] },
    job: { speculate, retries: retries(2) },
    ends: { 4: [3, 'succeeded'] },
  },
  {
    name: 'not twice as slow as the others: no backup',
    tries: { 4: [slow(99)] },
    job: { speculate },
    ends: {},
  },
  {
    name: 'too few calls for a backup',
    tries: { 4: [slow(900)] },
    job: { speculate: { ...speculate, minCalls: 21 } },
    ends: {},
  },
]

describe('exactly as many tries as', () => {
  it.each(cases)('$name', ({ tries, job, ends, memory }) => {
    const world: World = {
      limits: { slots: 4, waitingSlots: 0 },
      jobs: [{ id: 'M000', calls: CALLS, chunksize: 1, ...job }],
      ...{ seed: 1, fails: 0, dies: 0, diesUnstarted: 0, maxMs: 10, stopMs: 5 },
      courseOf(_job, call, attempt) {
        const course = tries[call]?.[attempt - 1] ?? 'succeeds'
        return typeof course === 'string' ? { ms: 10, end: course } : course
      },
    }
    const { settled, invoked, broken } = play(world)
    expect(broken).toEqual([])
    const told = Object.fromEntries(
      settled.map(({ call, attempts, outcome, why }) => [call, [attempts, why ?? outcome]]),
    )
    const expected = Object.fromEntries(
      Array.from({ length: CALLS }, (_, call) => [call, ends[call] ?? [1, 'succeeded']]),
    )
    expect(told).toEqual(expected)
    const sent = invoked.flatMap(({ calls, attempts }) => calls.map((call, i) => `${call}: ${attempts[i]}`))
    expect(sent.length).toBe(Object.values(expected).reduce((sum, [attempts]) => sum + (attempts as number), 0))
    if (memory === undefined) return
    expect(invoked.filter(({ calls }) => calls.includes(0)).map(({ memoryMiB }) => memoryMiB)).toEqual(memory)
  })
})

/** What the run of a job is told to write: the planned output of a call, or a part of it. */
import { expect, it } from 'vitest'
import type { Partition, Plan } from '../../partitioner/plan.ts'
import { cloudObject } from '../../src/core/cloud-object.ts'
import type { JobRun } from '../../src/executor/job-run.ts'
import { outputHooks } from '../../src/executor/output-hooks.ts'
import type { CallInput, JournalHead } from '../../src/job/messages.ts'
import type { OutputPlan } from '../../src/job/output.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'

const PLANNED = ['a', 'c'].flatMap((key) => [partition(key, 0), partition(key, 10)])
const KEYS = ['out/a0', 'out/a1', 'out/c0', 'out/c1']

/** To the next ten of its object. */
function partition(key: string, start: number): Partition {
  const object = cloudObject({ backend: 'memory', bucket: 'b', key, size: 20, etag: '"1"' })
  return { object, range: { start, end: start - (start % 10) + 10 } } as unknown as Partition
}

function hooksOf(input: CallInput) {
  const calls = KEYS.map((key) => ({ key, expect: null }))
  const plan = { head: { backend: 'memory', bucket: 'b' }, calls, previous: [] } as unknown as OutputPlan
  const subject = { kind: 'map', count: KEYS.length, plan: { partitions: PLANNED } as unknown as Plan } as const
  const run = { keepsResults: false } as unknown as JobRun
  const hooks = outputHooks(plan, subject, async () => new MemoryBackend())
  return { run, hooks: hooks({ run, journal: {} as JournalHead, inputOf: () => input }) }
}

it.each([
  ['a', 3, 'out/a0.from-3'],
  ['a', 10, 'out/a1.from-10'],
  ['c', 0, 'out/c0.from-0'],
  ['c', 19, 'out/c1.from-19'],
])('a part of %s that begins at byte %i is one of what was planned there', (key, start, output) => {
  const { run, hooks } = hooksOf({ type: 'partition', partition: partition(key, start) })
  expect(KEYS.map((_, call) => hooks.outputOf(call).key)).toEqual(KEYS)
  expect(hooks.outputOf(KEYS.length)).toEqual({ key: output, expect: null })
  expect(run.keepsResults).toBe(true)
})

it('an item has no part', () => {
  const { hooks } = hooksOf({ type: 'item', value: new Uint8Array(0) })
  expect(() => hooks.outputOf(KEYS.length)).toThrow('only partitions are divided')
})

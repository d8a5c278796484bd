/**
 * 20,000 tasks of mixed sizes while workers are killed, stopped and killed, or end themselves: every future settles
 * once, with the right value or a named error; no task runs twice; no process is left. The seed decides everything but
 * the order in which workers answer.
 */
import { afterAll, expect, it } from 'vitest'
import type { Future } from '../../src/futures/future.ts'
import { ProcessPoolExecutor } from '../../src/futures/process-pool-executor.ts'
import { seeded } from '../support/seeded.ts'
import { Gates, isAlive, until } from '../support/task-gates.ts'

const TASKS = 20_000
const IN_FLIGHT = 1_000
const SEED = 20_261_121

const gates = new Gates()
afterAll(() => gates.remove())

interface Order {
  readonly index: number
  readonly kind: 'add' | 'spin' | 'wait' | 'carry' | 'exit' | 'throw'
  readonly bytes: Uint8Array | undefined
}

/** Runs in the workers. */
async function work(order: Order, log: string): Promise<number> {
  const { appendFileSync } = process.getBuiltinModule('node:fs')
  appendFileSync(log, `${order.index}\n`)
  if (order.kind === 'exit') process.exit(order.index % 7)
  if (order.kind === 'throw') throw new RangeError(`no ${order.index}`)
  if (order.kind === 'wait') await new Promise((resolve) => setTimeout(resolve, order.index % 3))
  if (order.kind === 'spin') {
    const end = performance.now() + (order.index % 4) / 4
    while (performance.now() < end);
  }
  return order.index * 2 + (order.bytes?.byteLength ?? 0)
}

function orders(random: () => number): Order[] {
  return Array.from({ length: TASKS }, (_, index) => {
    const dice = random()
    const kind = dice < 0.0012 ? 'exit' : dice < 0.01 ? 'throw' : dice < 0.03 ? 'wait' : dice < 0.1 ? 'spin' : 'add'
    const carries = kind === 'add' && random() < 0.05
    const size = carries ? Math.floor(2 ** (random() * 20)) : 0
    return { index, kind: carries ? 'carry' : kind, bytes: carries ? new Uint8Array(size) : undefined }
  })
}

it('settles everything', { timeout: 240_000 }, async () => {
  const random = seeded(SEED)
  const executor = new ProcessPoolExecutor({ maxWorkers: 3, stderr: 'ignore' })
  const log = gates.gate()
  const all = orders(random)
  const pids = new Set<number>()
  const settledTimes = new Uint8Array(TASKS)
  const futures: Future<number>[] = []
  let done = 0
  let kills = 0
  let nextKill = 300

  const killSomeone = () => {
    const workers = executor.workers.filter(({ state, pid }) => state === 'busy' && pid !== undefined)
    const pid = workers[Math.floor(random() * workers.length)]?.pid
    if (pid === undefined) return
    kills += 1
    if (random() < 0.5) process.kill(pid, 'SIGSTOP')
    process.kill(pid, 'SIGKILL')
  }
  const onDone = (index: number) => {
    done += 1
    settledTimes[index] = (settledTimes[index] as number) + 1
    for (const { pid } of executor.workers) if (pid !== undefined) pids.add(pid)
    if (done < nextKill) return
    nextKill = done + 300 + Math.floor(random() * 600)
    killSomeone()
  }
  for (const order of all) {
    if (futures.length - done >= IN_FLIGHT) await until(() => futures.length - done < IN_FLIGHT / 2, 'room for more')
    const future = executor.submit(work, order, log)
    futures.push(future)
    future.addDoneCallback(() => onDone(order.index))
  }

  const outcomes = await Promise.allSettled(futures)
  let deaths = 0
  for (const [index, outcome] of outcomes.entries()) {
    const { kind, bytes } = all[index] as Order
    if (outcome.status === 'fulfilled') {
      expect(kind).not.toMatch(/exit|throw/)
      expect(outcome.value).toBe(index * 2 + (bytes?.byteLength ?? 0))
    } else if (outcome.reason.code === 'TERMINATED_WORKER') {
      deaths += 1
      if (outcome.reason.signal !== 'SIGKILL') expect([kind, outcome.reason.exitCode]).toEqual(['exit', index % 7])
    } else {
      expect([kind, outcome.reason.message]).toEqual(['throw', `no ${index}`])
    }
  }
  expect(settledTimes.every((times) => times === 1)).toBe(true)
  expect(kills).toBeGreaterThan(15)
  // a worker may be idle by the time it is killed, never two tasks' worth of busy
  const exits = all.filter(({ kind }) => kind === 'exit').length
  expect(deaths).toBeLessThanOrEqual(kills + exits)
  expect(deaths).toBeGreaterThan(exits / 2)
  const ran = gates.lines(log)
  expect(new Set(ran).size).toBe(ran.length)
  expect(ran.length).toBeGreaterThanOrEqual(TASKS - deaths)

  await executor.shutdown()
  expect(pids.size).toBeGreaterThan(15)
  expect([...pids].filter(isAlive)).toEqual([])
})

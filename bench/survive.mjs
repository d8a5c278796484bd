/**
 * A job of 100,000 calls of which 1 % fail at random and are tried again and 5 % take longer, on two workers: processor
 * time per call of the driver, and of all, against a no-op task of the pool (quern/futures); the driver's most resident
 * memory; the same with a journal. Each in a process of its own.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { median } from './measure.mjs'

const ROUNDS = 3
const CALLS = 100_000
const DURABLE_CALLS = 10_000
const RSS_GOAL_MIB = 400

export async function survive() {
  const [pools, jobs] = [[], []]
  for (let round = 0; round < ROUNDS; round++) {
    pools.push(measure('pool', CALLS))
    jobs.push(measure('job', CALLS))
  }
  const durable = measure('durable', DURABLE_CALLS)
  const of = (figures, key) => median(figures.map((each) => each[key]))
  const rss = Math.max(...jobs.map(({ rssMib }) => rssMib))
  console.log(
    `           driver: most resident ${rss} MiB (goal <= ${RSS_GOAL_MIB}: ${rss <= RSS_GOAL_MIB ? 'met' : 'MISSED'})`,
  )
  console.log(
    `           durable, ${DURABLE_CALLS} calls: ${durable.cpuUs.toFixed(0)} us of processor a call, ` +
      `${Math.round(DURABLE_CALLS / durable.seconds)} calls/s, ${durable.rssMib} MiB`,
  )
  const [call, task] = [of(jobs, 'driverUs'), of(pools, 'driverUs')]
  const [callOfAll, taskOfAll] = [of(jobs, 'cpuUs'), of(pools, 'cpuUs')]
  console.log(
    `           with the workers: ${callOfAll.toFixed(1)} us a call, ${taskOfAll.toFixed(1)} us a task, ` +
      `ratio ${(callOfAll / taskOfAll).toFixed(2)}`,
  )
  return {
    what: `${CALLS} calls, 1 % failures tried again, 5 % stragglers, 2 workers: processor time of the driver`,
    ours: `${call.toFixed(1)} us a call, ${of(jobs, 'seconds').toFixed(1)} s`,
    peer: `no-op task of its own pool ${task.toFixed(1)} us`,
    ratio: call / task,
    goal: 3,
    lowerIsBetter: true,
  }
}

function measure(mode, calls) {
  const args = [fileURLToPath(new URL('./survive-one.mjs', import.meta.url)), mode, `${calls}`]
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 600_000 })
  if (status !== 0) throw new Error(`survive ${mode} ended with ${status}:\n${stderr}`)
  return JSON.parse(stdout)
}

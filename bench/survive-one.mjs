/** `node survive-one.mjs job|durable|pool CALLS` prints `{ seconds, cpuUs, driverUs, rssMib }` as JSON; all of it per call, with warm workers. */
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FunctionExecutor } from 'quern'
import { ProcessPoolExecutor } from 'quern/futures'

const [mode, count] = [process.argv[2], Number(process.argv[3])]
const WARM_UP = 20_000
const BURST = 10_000
/** Ticks of the system's clock, as Linux tells processor times. */
const TICK_US = 10_000

const run = mode === 'pool' ? await startPool() : await startJobs(mode === 'durable')
await run.perform(Math.min(WARM_UP, count))
const [all, own, from] = [familyCpuUs(), ownCpuUs(), performance.now()]
await run.perform(count)
const cpuUs = (familyCpuUs() - all) / count
const driverUs = (ownCpuUs() - own) / count
const seconds = (performance.now() - from) / 1_000
const rssMib = Math.round(process.resourceUsage().maxRSS / 1_024)
await run.close()
console.log(JSON.stringify({ seconds, cpuUs, driverUs, rssMib }))

async function startPool() {
  const pool = new ProcessPoolExecutor({ maxWorkers: 2 })
  const noop = (n) => n
  return {
    async perform(tasks) {
      for (let done = 0; done < tasks; done += BURST) {
        const burst = Array.from({ length: Math.min(BURST, tasks - done) }, (_, i) => pool.submit(noop, done + i))
        const results = await Promise.all(burst)
        if (results.at(-1) !== done + burst.length - 1) throw new Error('wrong results')
      }
    },
    close: () => pool.shutdown(),
  }
}

async function startJobs(durable) {
  const storageRoot = await mkdtemp(join(tmpdir(), 'quern-survive-'))
  const exec = new FunctionExecutor({ maxWorkers: 2, showProgressbar: false, logLevel: 'error', storageRoot })
  const work = async (n, task) => {
    if (task.attempt === 1 && (n * 2_654_435_761) % 1_000 < 10) throw new Error('one in a hundred fails')
    if (n % 20 === 7) await new Promise((resolve) => setTimeout(resolve, 1))
    return n
  }
  const options = { retries: 3, speculate: true, ...(durable ? { durable: true } : {}) }
  return {
    async perform(calls) {
      const items = Array.from({ length: calls }, (_, i) => i)
      const results = await exec.map(work, items, options)
      if (results.length !== calls || results.some((n, i) => n !== i)) throw new Error('wrong results')
    },
    async close() {
      await exec.shutdown()
      await rm(storageRoot, { recursive: true, force: true })
    },
  }
}

function ownCpuUs() {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** Processor time of this process and, where the system tells, of its workers, those that have ended included. */
function familyCpuUs() {
  let total = ownCpuUs()
  if (process.platform !== 'linux') return total
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const [, parent, ...rest] = statOf(pid)
    if (Number(parent) === process.pid) total += (Number(rest[9]) + Number(rest[10])) * TICK_US
    else if (Number(pid) === process.pid) total += (Number(rest[11]) + Number(rest[12])) * TICK_US
  }
  return total
}

/** From the state on; empty when the process has ended. */
function statOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return []
  }
}

/** Pools of two workers behind one face: `run(value)` gives the value back from a worker. */
import { fileURLToPath } from 'node:url'

const at = (name) => fileURLToPath(new URL(name, import.meta.url))
const SIZE = { minThreads: 2, maxThreads: 2 }

export const CONTESTANTS = {
  'quern threads': async () => quern((await import('quern/futures')).ThreadPoolExecutor),
  'quern processes': async () => quern((await import('quern/futures')).ProcessPoolExecutor),
  'piscina threads': async () => {
    const { Piscina } = await import('piscina')
    const pool = new Piscina({ ...SIZE, filename: at('tasks.mjs') })
    return { run: (value) => pool.run(value), end: () => pool.destroy() }
  },
  'tinypool threads': () => tinypool('worker_threads'),
  'tinypool processes': () => tinypool('child_process'),
  'workerpool threads': () => workerpool('thread'),
  'workerpool processes': () => workerpool('process'),
  'poolifier threads': async () => {
    const { FixedThreadPool } = await import('poolifier')
    return poolifier(new FixedThreadPool(2, at('poolifier-thread.mjs')))
  },
  'poolifier threads, queued': async () => {
    const { FixedThreadPool } = await import('poolifier')
    return poolifier(new FixedThreadPool(2, at('poolifier-thread.mjs'), { enableTasksQueue: true }))
  },
  'poolifier processes': async () => {
    const { FixedClusterPool } = await import('poolifier')
    return poolifier(new FixedClusterPool(2, at('poolifier-cluster.cjs')))
  },
}

function quern(Executor) {
  const pool = new Executor({ maxWorkers: 2 })
  const same = (value) => value
  return { run: (value) => pool.submit(same, value), end: () => pool.shutdown({ killWorkers: true }) }
}

async function tinypool(runtime) {
  const { Tinypool } = await import('tinypool')
  const pool = new Tinypool({ ...SIZE, filename: at('tasks.mjs'), runtime })
  return { run: (value) => pool.run(value), end: () => pool.destroy() }
}

async function workerpool(workerType) {
  const { default: library } = await import('workerpool')
  const pool = library.pool(at('workerpool-tasks.mjs'), { maxWorkers: 2, workerType })
  return { run: (value) => pool.exec('same', [value]), end: () => pool.terminate() }
}

function poolifier(pool) {
  return { run: (value) => pool.execute(value), end: () => pool.destroy() }
}

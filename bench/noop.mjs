/** No-op calls per second on two warm workers: exec.map (processes) against piscina (threads). */
import { Piscina } from 'piscina'
import { FunctionExecutor } from 'quern'
import { rounds } from './measure.mjs'

const CALLS = 20_000
const items = Array.from({ length: CALLS }, (_, i) => i)

export async function noop() {
  const exec = new FunctionExecutor({ maxWorkers: 2, showProgressbar: false })
  const pool = new Piscina({
    filename: new URL('./noop-worker.mjs', import.meta.url).href,
    minThreads: 2,
    maxThreads: 2,
  })
  const quern = async () => {
    const results = await exec.map((n) => n, items)
    if (results.length !== CALLS || results[CALLS - 1] !== CALLS - 1) throw new Error('quern: wrong results')
  }
  const piscina = async () => {
    const results = await Promise.all(items.map((n) => pool.run(n)))
    if (results[CALLS - 1] !== CALLS - 1) throw new Error('piscina: wrong results')
  }
  const times = await rounds({ quern, piscina }, 5)
  await exec.shutdown()
  await pool.destroy()
  return {
    what: `${CALLS} no-op calls, 2 warm workers`,
    ours: `${Math.round(CALLS / times.quern)} calls/s`,
    peer: `piscina threads ${Math.round(CALLS / times.piscina)} tasks/s`,
    ratio: times.piscina / times.quern,
    goal: 0.5,
  }
}

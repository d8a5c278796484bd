/** One pool in a process of its own: `node measure-one.mjs NAME MEASURE` prints the figures as JSON. */
import { median } from '../measure.mjs'
import { CONTESTANTS } from './contestants.mjs'

const TASKS = 20_000
const ROUNDS = 5
const SINGLE = 5_000
const SINGLE_WARM_UP = 15_000
const ECHO_MS = 2_000
const MIB = 2 ** 20

const MEASURES = {
  /** Tasks per second, all submitted at once. */
  async throughput(pool) {
    const rates = []
    for (let round = 0; round <= ROUNDS; round++) {
      const from = performance.now()
      const results = await Promise.all(Array.from({ length: TASKS }, (_, i) => pool.run(i)))
      if (results[TASKS - 1] !== TASKS - 1) throw new Error('wrong results')
      if (round > 0) rates.push((TASKS * 1_000) / (performance.now() - from))
    }
    return { perSecond: median(rates) }
  },
  /** Microseconds of one task at an idle pool. */
  async latency(pool) {
    const times = []
    for (let i = 0; i < SINGLE_WARM_UP + SINGLE; i++) {
      const from = performance.now()
      await pool.run(i)
      if (i >= SINGLE_WARM_UP) times.push((performance.now() - from) * 1_000)
    }
    times.sort((a, b) => a - b)
    return { p50: times[Math.floor(SINGLE * 0.5)], p99: times[Math.floor(SINGLE * 0.99)] }
  },
  /** MiB per second of buffers that go and come back, two at a time. */
  async echo(pool) {
    const block = Buffer.alloc(MIB, 'x')
    const both = async () => {
      const [a, b] = await Promise.all([pool.run(block), pool.run(block)])
      if (sizeOf(a) !== MIB || sizeOf(b) !== MIB) throw new Error('wrong results')
    }
    for (let i = 0; i < 5; i++) await both()
    const from = performance.now()
    let mib = 0
    for (; performance.now() - from < ECHO_MS; mib += 2) await both()
    return { mibPerSecond: (mib * 1_000) / (performance.now() - from) }
  },
  /** MiB of the heap and of the process before and after a million tasks in bursts. */
  async memory(pool) {
    const burst = async () => {
      await Promise.all(Array.from({ length: 10_000 }, (_, i) => pool.run(i)))
    }
    for (let i = 0; i < 10; i++) await burst()
    const before = settled()
    for (let i = 0; i < 100; i++) await burst()
    const after = settled()
    return { heapMib: [before.heapUsed / MIB, after.heapUsed / MIB], rssMib: [before.rss / MIB, after.rss / MIB] }
  },
}

/** Where messages are JSON a buffer comes back as `{ type, data }`, or as `{ 0: …, 1: … }`. */
function sizeOf(block) {
  return block.byteLength ?? block.data?.length ?? Object.keys(block).length
}

function settled() {
  globalThis.gc?.()
  return process.memoryUsage()
}

// a pool that leaves the program's life to its caller must not end the measurement
setInterval(() => undefined, 60_000)
const [name, measure] = process.argv.slice(2)
const pool = await CONTESTANTS[name]()
await pool.run(0)
console.log(JSON.stringify(await MEASURES[measure](pool)))
await pool.end()
process.exit(0)

/** One command, one table: `npm run bench`, or `npm run bench -- noop lines` for some of it. */
import { capture } from './capture.mjs'
import { codec } from './codec.mjs'
import { cold } from './cold.mjs'
import { lines } from './lines.mjs'
import { list } from './list.mjs'
import { noop } from './noop.mjs'
import { plan } from './plan.mjs'
import { echo, latency, memory, processes, threads } from './pools.mjs'
import { read, readFar } from './read.mjs'
import { survive } from './survive.mjs'
import { wordcount } from './wordcount.mjs'

const MIB = 2 ** 20
const BENCHES = {
  cold,
  noop,
  lines: () => lines(512 * MIB),
  wordcount: () => wordcount(512 * MIB),
  plan,
  list: () => list(20),
  listBare: () => list(0),
  codec,
  capture,
  threads,
  processes,
  latency,
  echo,
  memory,
  read: async () => [...(await read('plain', 2_048 * MIB)), ...(await read('fauxqs', 2_048 * MIB))],
  readFar: () => readFar(256 * MIB),
  survive,
}

const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(BENCHES)
console.log(`Node ${process.version}; each ratio from interleaved rounds of one run, medians\n`)
for (const name of wanted) {
  for (const row of [await BENCHES[name]()].flat()) print(name, row)
}

function print(name, { what, ours, peer, ratio, goal, lowerIsBetter = false }) {
  const met = lowerIsBetter ? ratio <= goal : ratio >= goal
  const bound = `${lowerIsBetter ? '<=' : '>='} ${goal}`
  console.log(
    `${name.padEnd(10)} ${what}\n           quern ${ours}; ${peer}; ratio ${ratio.toFixed(2)} (goal ${bound}: ${met ? 'met' : 'MISSED'})`,
  )
}

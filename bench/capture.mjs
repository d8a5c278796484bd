/** Capture of a function that was seen before, and the first of a program over importing quern itself. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { captureFunction } from '../dist/src/functions/capture.js'
import { median } from './measure.mjs'

const PROGRAM = fileURLToPath(new URL('./capture-first.mjs', import.meta.url))
const ROUNDS = 7
const WORDS = new Set(['a', 'the'])
const table = { factor: 2, names: ['x', 'y'] }
let offset = 1
const helper = (n) => n * table.factor + offset
const score = (n) => (WORDS.has(table.names[n % 2]) ? 0 : helper(n))

export async function capture() {
  offset = 2
  captureFunction(score, 'f')
  const again = Array.from({ length: 200 }, () => elapsed(() => captureFunction(score, 'f')))
  const first = Array.from({ length: ROUNDS }, () =>
    Number(execFileSync(process.execPath, [PROGRAM], { encoding: 'utf8' })),
  )
  const againMs = median(again)
  const firstMs = median(first)
  return {
    what: 'capture of a closure: again (goal <= 0.5 ms), first of a program (goal <= 150 ms over its imports)',
    ours: `again ${againMs.toFixed(3)} ms, first ${firstMs.toFixed(1)} ms`,
    peer: 'the goals 1×',
    // of the two, the one that is nearer to its goal
    ratio: Math.max(againMs / 0.5, firstMs / 150),
    goal: 1,
    lowerIsBetter: true,
  }
}

function elapsed(run) {
  const from = performance.now()
  run()
  return performance.now() - from
}

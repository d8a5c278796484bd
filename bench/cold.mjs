/** A cold program to its first result and its end, against a bare fork() that answers once. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { rounds } from './measure.mjs'

export async function cold() {
  const run = (name) => async () => execFileSync(process.execPath, [fileURLToPath(new URL(name, import.meta.url))])
  const times = await rounds({ quern: run('./cold-quern.mjs'), fork: run('./cold-fork.mjs') }, 9)
  return {
    what: 'cold program, first result (lower is better)',
    ours: `${Math.round(times.quern * 1_000)} ms`,
    peer: `bare fork() ${Math.round(times.fork * 1_000)} ms`,
    ratio: times.quern / times.fork,
    goal: 2,
    lowerIsBetter: true,
  }
}

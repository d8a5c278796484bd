/**
 * The kill matrix of the tests (test/scenarios/kill-matrix.test.ts) again and again, each time with seeds of its own,
 * until the minutes are over: `node bench/soak.mjs [minutes]`, default 30. Prints how many rounds held; leaves with 1 at the
 * first that did not, and says with which seed to repeat it.
 */
import { spawnSync } from 'node:child_process'

const minutes = Number(process.argv[2] ?? 30)
const until = Date.now() + minutes * 60_000
const SEEDS_OF_A_ROUND = 3
let rounds = 0
while (Date.now() < until) {
  const first = (rounds + 1) * SEEDS_OF_A_ROUND
  const env = { ...process.env, QUERN_TEST_FIRST_SEED: String(first) }
  const args = ['vitest', 'run', '--reporter=dot', 'test/scenarios/kill-matrix.test.ts']
  const { status } = spawnSync('npx', args, { env, stdio: 'inherit' })
  if (status !== 0) {
    console.error(`round ${rounds + 1} failed; again: QUERN_TEST_FIRST_SEED=${first} npx ${args.join(' ')}`)
    process.exit(1)
  }
  rounds += 1
}
console.log(`${rounds} rounds of the kill matrix held in ${minutes} minutes`)

/**
 * quern/futures against the pools of npm, two workers each. Every pool runs in a process of its own, the rounds of the
 * contestants interleaved; a figure is the median of its rounds.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { median } from './measure.mjs'
import { CONTESTANTS } from './pools/contestants.mjs'

const ROUNDS = 3
const PEERS = Object.keys(CONTESTANTS).filter((name) => !name.startsWith('quern'))
const THREADS = PEERS.filter((name) => name.includes('threads'))
const PROCESSES = PEERS.filter((name) => name.includes('processes'))

export async function threads() {
  return throughput('quern threads', THREADS, 'no-op tasks on 2 warm threads')
}

export async function processes() {
  return throughput('quern processes', PROCESSES, 'no-op tasks on 2 warm processes')
}

export async function latency() {
  const one = compare(['quern threads', ...THREADS], 'latency', 'p50')
  const two = compare(['quern processes', ...PROCESSES], 'latency', 'p50')
  for (const figures of [one, two]) for (const [name, all] of Object.entries(figures)) report(name, all)
  const worst = (figures, ours) => figures[ours].p50 / Math.min(...peersOf(figures).map(([, { p50 }]) => p50))
  const ratio = Math.max(worst(one, 'quern threads'), worst(two, 'quern processes'))
  return {
    what: 'one task at an idle pool, p50 (the worse of threads and processes)',
    ours: `threads ${one['quern threads'].p50.toFixed(0)} us, processes ${two['quern processes'].p50.toFixed(0)} us`,
    peer: `best ${bestName(one, 'p50', false)}; best ${bestName(two, 'p50', false)}`,
    ratio,
    goal: 1,
    lowerIsBetter: true,
  }
}

export async function echo() {
  const ours = compare(['quern processes', ...PROCESSES], 'echo', 'mibPerSecond')
  for (const [name, all] of Object.entries(ours)) report(name, all)
  const fork = run([fileURLToPath(new URL('./pools/fork-echo.mjs', import.meta.url))]).mibPerSecond
  const { mibPerSecond } = ours['quern processes']
  return {
    what: '1 MiB buffers there and back through 2 processes',
    ours: `${mibPerSecond.toFixed(0)} MiB/s`,
    peer: `fork() with its default IPC ${fork.toFixed(1)} MiB/s; best pool ${bestName(ours, 'mibPerSecond', true)}`,
    ratio: mibPerSecond / fork,
    goal: 5,
  }
}

export async function memory() {
  let worst = 0
  const texts = []
  for (const name of ['quern threads', 'quern processes']) {
    const { heapMib, rssMib } = measure(name, 'memory', ['--expose-gc'])
    worst = Math.max(worst, heapMib[1] - heapMib[0])
    texts.push(`${name.slice(6)} heap ${span(heapMib)}, RSS ${span(rssMib)}`)
  }
  return {
    what: 'a million tasks in bursts of 10,000 after 100,000 to warm up: MiB of heap gained',
    ours: texts.join('; '),
    peer: 'flat is 0',
    ratio: worst,
    goal: 4,
    lowerIsBetter: true,
  }
}

function throughput(ours, peers, what) {
  const figures = compare([ours, ...peers], 'throughput', 'perSecond')
  for (const [name, all] of Object.entries(figures)) report(name, all)
  const best = Math.max(...peersOf(figures).map(([, { perSecond }]) => perSecond))
  return {
    what,
    ours: `${Math.round(figures[ours].perSecond)} tasks/s`,
    peer: `best ${bestName(figures, 'perSecond', true)}`,
    ratio: figures[ours].perSecond / best,
    goal: 2,
  }
}

/** Figures of each contestant: of its rounds, the one with the median of `key`. */
function compare(names, measureName, key) {
  const rounds = Object.fromEntries(names.map((name) => [name, []]))
  for (let round = 0; round < ROUNDS; round++) for (const name of names) rounds[name].push(measure(name, measureName))
  return Object.fromEntries(
    names.map((name) => {
      const middle = median(rounds[name].map((figures) => figures[key]))
      return [name, rounds[name].find((figures) => figures[key] === middle)]
    }),
  )
}

function measure(name, measureName, flags = []) {
  return run([...flags, fileURLToPath(new URL('./pools/measure-one.mjs', import.meta.url)), name, measureName])
}

function run(args) {
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 180_000 })
  if (status !== 0) throw new Error(`${args.slice(-2).join(' ')} ended with ${status}:\n${stderr}`)
  return JSON.parse(stdout)
}

function peersOf(figures) {
  return Object.entries(figures).filter(([name]) => !name.startsWith('quern'))
}

function bestName(figures, key, highest) {
  const [name, best] = peersOf(figures).toSorted(([, a], [, b]) => (highest ? b[key] - a[key] : a[key] - b[key]))[0]
  return `${name} ${best[key].toFixed(0)}`
}

function report(name, figures) {
  const text = Object.entries(figures).map(([key, value]) => `${key} ${value.toFixed(0)}`)
  console.log(`           ${name.padEnd(26)} ${text.join(', ')}`)
}

function span([from, to]) {
  return `${from.toFixed(0)} -> ${to.toFixed(0)}`
}

/**
 * Whoever is killed, wherever: {driver, worker, connection to the store} × {before read … during manifest} × {SIGKILL,
 * exit, freeze}. After the retries, or a resume, the result is the undisturbed one and every output is there once.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FunctionExecutor } from '../../src/entry/index.ts'
import { joinedProgram } from '../support/joined-programs.ts'
import {
  configOf,
  countsOf,
  LINES,
  POISON_WORKS,
  POISONED,
  READABLE,
  submitDividingJob,
  submitKillJob,
  TEXTS,
} from '../support/kill-job.ts'
import { type Fate, type S3InMemory, type StoreRequest, startS3InMemory } from '../support/s3-in-memory.ts'
import { seeded } from '../support/seeded.ts'

const STAGES = [
  'before read',
  'mid-body',
  'before result',
  'between result put and commit',
  'after commit, before report',
  'during reduce',
  'between commit and publication',
  'during manifest',
  'between division and its record',
] as const
const DIVIDING: Stage = 'between division and its record'
const ACTIONS = ['SIGKILL', 'exit', 'freeze'] as const

type Stage = (typeof STAGES)[number]
type Action = (typeof ACTIONS)[number]
type Victim = 'driver' | 'worker' | 'store connection'

interface Case {
  readonly victim: Victim
  readonly stage: Stage
  readonly action: Action
  readonly seed: number
}

/** How often a stage comes in an undisturbed job. */
const TIMES: Readonly<Record<Stage, number>> = {
  'before read': 6,
  'mid-body': 6,
  'before result': 6,
  'between result put and commit': 6,
  'after commit, before report': 6,
  'during reduce': 3,
  'between commit and publication': 3,
  'during manifest': 1,
  'between division and its record': 3,
}

let server: S3InMemory
let endpoint: string
let exec: FunctionExecutor
let runs = 0

beforeAll(async () => {
  server = await startS3InMemory()
  endpoint = `http://127.0.0.1:${server.port}`
  for (const [key, text] of Object.entries(TEXTS)) server.put(key, text)
  server.put(POISONED, LINES.join(''))
  server.put(POISON_WORKS, '')
  exec = openExecutor()
})

afterAll(async () => {
  await exec.shutdown()
  const left = [...server.objects.keys()].filter((key) => key.startsWith('quern.jobs/'))
  await server.close()
  expect(left).toEqual([])
})

describe('a worker killed', () => {
  it.each(casesOf('worker', 3))('$action $stage (seed $seed)', async (each) => {
    const output = `out/${++runs}`
    const strike = strikeOnce(each, (pid) => pid)
    await submit(each, output)
    expect(strike.struck).toBe(true)
    expectOutputs(each, output)
  })
})

describe('a connection to the store broken', () => {
  it.each(casesOf('store connection', 2))('$action $stage (seed $seed)', async (each) => {
    const output = `out/${++runs}`
    const strike = strikeOnce(each, () => undefined)
    await submit(each, output)
    expect(strike.struck).toBe(true)
    expectOutputs(each, output)
  })
})

describe('a driver killed', () => {
  it.each(casesOf('driver', 1))('$action $stage (seed $seed)', async (each) => {
    const output = `out/${++runs}`
    let driver: ChildProcess | undefined
    const strike = strikeOnce(each, () => driver?.pid)
    driver = startDriver(each, output)
    const said = linesOf(driver)
    const ended = once(driver, 'exit')
    await Promise.race([strike.done, ended])
    expect(strike.struck).toBe(true)
    if (each.action !== 'freeze') await ended
    await exec.resume(strike.job())
    expectOutputs(each, output)
    if (each.action !== 'freeze') return
    // it wakes when all is over: it may say that it was fenced, or find everything done; it changes nothing
    const before = outputsBelow(output)
    process.kill(driver.pid as number, 'SIGCONT')
    await ended
    expect(said.join('')).toMatch(/^(done|[A-Z_]+: .*(another driver|taken over|resumed))/)
    expect(outputsBelow(output)).toEqual(before)
  })
})

const divides = ({ stage }: Case) => stage === DIVIDING

function submit(each: Case, output: string): Promise<unknown> {
  return divides(each)
    ? submitDividingJob(exec, endpoint, output).result()
    : submitKillJob(exec, endpoint, output).result()
}

function openExecutor(): FunctionExecutor {
  return new FunctionExecutor({ config: configOf(endpoint), maxWorkers: 2, showProgressbar: false, logLevel: 'error' })
}

/** `seeds`: of each pair of stage and action; bench/soak.mjs has more. */
function casesOf(victim: Victim, seeds: number): Case[] {
  const from = Number(process.env.QUERN_TEST_FIRST_SEED ?? 0)
  return STAGES.flatMap((stage) =>
    ACTIONS.flatMap((action) =>
      Array.from({ length: stage === DIVIDING ? 1 : seeds }, (_, seed) => ({
        ...{ victim, stage, action },
        seed: from + seed,
      })),
    ),
  )
}

interface Strike {
  readonly struck: boolean
  readonly done: Promise<void>
  /** The name of the job that was struck. */
  job(): string
}

/** Strikes at one of the moments of its stage, which one by the seed; `pidOf` is given the worker there. */
function strikeOnce(each: Case, pidOf: (worker: number) => number | undefined): Strike {
  const at = Math.floor(seeded(each.seed * 7919 + STAGES.indexOf(each.stage))() * TIMES[each.stage])
  let passed = 0
  let struck = false
  let worker = 0
  let name = ''
  let tell: () => void = () => undefined
  const done = new Promise<void>((resolve) => {
    tell = resolve
  })
  const pass = async (stage: Stage): Promise<Fate> => {
    if (struck || stage !== each.stage || passed++ !== at) return 'go on'
    struck = true
    const fate = await hit(each, pidOf(worker))
    tell()
    return fate
  }
  const meet = (when: 'before' | 'halfway' | 'after') => async (request: StoreRequest) => {
    name = /^quern\.jobs\/([^/]+)\/job\.json$/.exec(request.key)?.[1] ?? name
    const stage = stageOf(request, when)
    return stage === undefined ? 'go on' : pass(stage)
  }
  server.hooks = {
    before: meet('before'),
    halfway: meet('halfway'),
    after: meet('after'),
    async control(path) {
      const [what, pid] = path.split('/')
      worker = Number(pid)
      if (what === 'map-ends') await pass('before result')
      if (what === 'reduces') await pass('during reduce')
    },
  }
  return {
    get struck() {
      return struck
    },
    done,
    job: () => name,
  }
}

function stageOf({ operation, key }: StoreRequest, when: 'before' | 'halfway' | 'after'): Stage | undefined {
  if (operation === 'GET' && key.startsWith('data/')) {
    return when === 'before' ? 'before read' : when === 'halfway' ? 'mid-body' : undefined
  }
  if (operation !== 'PUT') return undefined
  if (/\/commits\/M\d+\//.test(key)) {
    return when === 'before' ? 'between result put and commit' : 'after commit, before report'
  }
  if (key.includes('/divisions/')) return when === 'before' ? DIVIDING : undefined
  if (!key.startsWith('out/')) return undefined
  if (key.endsWith('_quern/manifest.json')) return when === 'before' ? 'during manifest' : undefined
  return when === 'before' ? 'between commit and publication' : undefined
}

/** What is done to the victim; without one, to the connection. */
async function hit({ action }: Case, pid: number | undefined): Promise<Fate> {
  if (pid === undefined) {
    if (action === 'freeze') await new Promise((resolve) => setTimeout(resolve, 100))
    return action === 'exit' ? 'lose' : 'drop'
  }
  process.kill(pid, action === 'SIGKILL' ? 'SIGKILL' : action === 'exit' ? 'SIGUSR2' : 'SIGSTOP')
  return 'go on'
}

function outputsBelow(output: string): Record<string, string> {
  const found = [...server.objects].filter(([key]) => key.startsWith(`${output}/`))
  return Object.fromEntries(found.map(([key, { bytes }]) => [key, bytes.toString()] as const).sort())
}

/** Every output once, whole, and the manifest that names them all. */
function expectOutputs(each: Case, output: string): void {
  const { [`${output}/_quern/manifest.json`]: manifest = '{}', ...outputs } = outputsBelow(output)
  const named = (JSON.parse(manifest) as { outputs: { key: string; sizeBytes: number }[] }).outputs
  expect(named.map(({ key, sizeBytes }) => [key, sizeBytes]).sort()).toEqual(
    Object.entries(outputs).map(([key, text]) => [key, Buffer.byteLength(text)]),
  )
  if (divides(each)) expect(named.map(({ key }) => outputs[key]).join('')).toBe(READABLE)
  else expect(Object.values(outputs).map((text) => JSON.parse(text))).toEqual(Object.values(TEXTS).map(countsOf))
}

function startDriver(each: Case, output: string): ChildProcess {
  const kind = divides(each) ? 'divides' : 'counts'
  return spawn(process.execPath, [joinedProgram('kill-driver'), endpoint, output, kind], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

function linesOf(child: ChildProcess): string[] {
  const said: string[] = []
  child.stdout?.setEncoding('utf8').on('data', (text: string) => said.push(text))
  return said
}

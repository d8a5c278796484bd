/**
 * A driver and its worker freeze before a commit, another driver divides the call, and both wake up again: what they
 * still write of the whole call counts for nothing.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { FunctionExecutor, type Job } from '../../src/entry/index.ts'
import { joinedProgram } from '../support/joined-programs.ts'
import { configOf, LINES, POISON_WORKS, POISONED, READABLE } from '../support/kill-job.ts'
import { type Fate, type S3InMemory, startS3InMemory } from '../support/s3-in-memory.ts'

let server: S3InMemory
let exec: FunctionExecutor
let driver: ChildProcess | undefined
let endpoint = ''

beforeAll(async () => {
  server = await startS3InMemory()
  endpoint = `http://127.0.0.1:${server.port}`
  server.put(POISONED, LINES.join(''))
  exec = new FunctionExecutor({ config: configOf(endpoint), maxWorkers: 2, showProgressbar: false, logLevel: 'error' })
})

afterAll(async () => {
  driver?.kill('SIGKILL')
  await exec.shutdown()
  await server.close()
})

it('a commit of the whole call that arrives after its division is refused; every output is there once', async () => {
  const [frozen, thaw] = [gate(), gate()]
  const late: string[] = []
  let [worker, name] = [0, '']
  server.hooks = {
    control: (path) => {
      const [what, pid] = path.split('/')
      // the last to end a call before the freeze: one that seemed silent may have been replaced
      if (what === 'map-ends' && late.length === 0) worker = Number(pid)
    },
    async before({ operation, key }): Promise<Fate> {
      name = /^quern\.jobs\/([^/]+)\/job\.json$/.exec(key)?.[1] ?? name
      if (operation !== 'PUT' || !key.endsWith('/commits/M000/00000') || late.length > 0) return 'go on'
      late.push(key)
      process.kill(driver?.pid as number, 'SIGSTOP')
      process.kill(worker, 'SIGSTOP')
      frozen.open()
      await thaw.opened
      return 'go on'
    },
  }
  driver = startDriver('out')
  const said: string[] = []
  driver.stdout?.setEncoding('utf8').on('data', (text: string) => said.push(text))
  const ended = once(driver, 'exit')
  await frozen.opened
  server.put(POISON_WORKS, '')
  const resumed = exec.resume(name) as Job<unknown[], unknown>
  const results = (await resumed) as ({ key: string } | undefined)[]
  const quarantined = await resumed.quarantined()
  expect(quarantined.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(['POISON\n'])
  const certificate = await resumed.certificate()
  expect(certificate).toMatchObject({ failed: [], unread: [], quarantined: { length: 1 } })
  const before = outputs()
  expect(results.flatMap((each) => (each === undefined ? [] : before[each.key])).join('')).toBe(READABLE)
  thaw.open()
  process.kill(worker, 'SIGCONT')
  process.kill(driver.pid as number, 'SIGCONT')
  await ended
  // it says that it was fenced, or finds the job done; the outputs stay what they were
  expect(said.join('')).toMatch(/^(done|[A-Z_]+: .*(another driver|taken over|resumed))/)
  expect(outputs()).toEqual(before)
  expect(Object.keys(before).sort()).toEqual(
    ['out/_quern/manifest.json', ...results.flatMap((each) => each?.key ?? [])].sort(),
  )
}, 120_000)

function gate(): { readonly opened: Promise<void>; open(): void } {
  let open: () => void = () => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open: () => open() }
}

function outputs(): Record<string, string> {
  const found = [...server.objects].filter(([key]) => key.startsWith('out/'))
  return Object.fromEntries(found.map(([key, { bytes }]) => [key, bytes.toString()]))
}

function startDriver(output: string): ChildProcess {
  return spawn(process.execPath, [joinedProgram('kill-driver'), endpoint, output, 'divides'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

/** A server that is frozen in the middle of a job, and goes on: the job ends, with all it would have had. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { FunctionExecutor, type ObjectPartition, objects } from '../../src/entry/index.ts'

const OBJECTS = 6
const BYTES = 1 << 20
const LARGE = process.env.QUERN_TEST_LARGE === '1'

async function readAll(part: ObjectPartition): Promise<{ bytes: number; sum: number }> {
  let [bytes, sum] = [0, 0]
  for await (const chunk of part.stream()) {
    for (const byte of chunk) sum += byte
    bytes += chunk.length
  }
  return { bytes, sum }
}

it.each([{ frozenMs: 300 }, ...(LARGE ? [{ frozenMs: 30_000 }, { frozenMs: 70_000 }] : [])])(
  'for $frozenMs ms, loses nothing',
  { timeout: 240_000 },
  async ({ frozenMs }) => {
    const program = fileURLToPath(new URL('../support/slow-web-server.mjs', import.meta.url))
    const server = fork(program, [`${OBJECTS}`, `${BYTES}`], { execArgv: [] })
    const [port] = (await once(server, 'message')) as [number]
    const exec = new FunctionExecutor({ config: {}, maxWorkers: 2 })
    try {
      const urls = Array.from({ length: OBJECTS }, (_, i) => `http://127.0.0.1:${port}/o${i}`)
      const frozen = once(server, 'message').then(async () => {
        server.kill('SIGSTOP')
        await wait(frozenMs)
        server.kill('SIGCONT')
      })
      const job = exec.map(readAll, objects(urls), { objChunkSize: BYTES / 2 })
      const results = await job
      await frozen
      let sum = 0
      for (let at = 0; at < BYTES; at++) sum += at % 251
      expect(results).toHaveLength(OBJECTS * 2)
      expect(results.reduce((all, { bytes }) => all + bytes, 0)).toBe(OBJECTS * BYTES)
      expect(results.reduce((all, each) => all + each.sum, 0)).toBe(OBJECTS * sum)
      expect(await job.certificate()).toMatchObject({ complete: true })
    } finally {
      server.kill('SIGCONT')
      server.kill('SIGKILL')
      await exec.shutdown()
    }
  },
)

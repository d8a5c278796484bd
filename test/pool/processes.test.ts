import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { InvocationDeath } from '../../src/compute/backend.ts'
import { createLocalhostCompute } from '../../src/compute/localhost.ts'

const PROGRAM = fileURLToPath(new URL('../support/pool-driver.ts', import.meta.url))
const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href

/** A zombie answers signal 0; what it is doing says that it is over. */
function isAlive(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false
  return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
}

async function untilGone(pid: number): Promise<void> {
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** Runs the driver program; `onLine` gets what it prints. */
function drive(mode: string, onLine: (line: string, kill: () => void) => void): Promise<number | null> {
  const driver = spawn(process.execPath, ['--import', TSX, PROGRAM, mode], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  driver.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = `${text}${chunk}`.split('\n')
    text = lines.pop() as string
    for (const line of lines) onLine(line, () => driver.kill('SIGKILL'))
  })
  return new Promise((resolve) => driver.on('close', (code) => resolve(code)))
}

describe.runIf(process.platform === 'linux')('worker processes (needs Linux: /proc)', () => {
  it.each(['idle', 'exit-busy', 'unhandled'])('do not outlive a driver that ends: %s', async (mode) => {
    const pids: number[] = []
    await drive(mode, (line) => pids.push(Number(line)))
    expect(pids.length).toBe(1)
    await untilGone(pids[0] as number)
  })

  it('do not outlive a driver that was killed as soon as they were busy, nor does what they started', async () => {
    const pids: number[] = []
    await drive('killed-busy', (line, kill) => {
      pids.push(Number(line))
      if (pids.length === 2) kill()
    })
    expect(pids.length).toBe(2)
    await Promise.all(pids.map(untilGone))
  })

  it('are gone when close has resolved', async () => {
    const pids: number[] = []
    expect(await drive('close', (line) => pids.push(Number(line)))).toBe(0)
    expect(pids.map(isAlive)).toEqual([false])
  })
})

describe('worker threads', () => {
  it.each(['threads-idle', 'threads-exit-busy'])('do not keep a program that is over: %s', async (mode) => {
    const pids: number[] = []
    expect(await drive(mode, (line) => pids.push(Number(line)))).toBe(0)
    expect(pids.length).toBe(1)
  })
})

describe.each(['processes', 'threads'] as const)('%s that cannot be', (workers) => {
  it('for lack of their file break the pool with what node said', async () => {
    const compute = createLocalhostCompute({
      workers,
      slots: 2,
      waitingSlots: 0,
      workerEntry: new URL('../support/there-is-no-such-worker.js', import.meta.url),
      startup: new Uint8Array(0),
    })
    const death = await new Promise<InvocationDeath | undefined>((resolve) => {
      compute.listen({ onMessage: () => undefined, onEnd: (_id, how) => resolve(how) })
      void compute.invoke({ id: 1, shared: { id: 's', bytes: Buffer.from('s') }, payload: Buffer.from('p') })
    })
    expect(death).toMatchObject({ reason: 'neverStarted', exitCode: 1 })
    expect(death?.stderrTail).toContain('there-is-no-such-worker')
    await compute.close()
  })
})

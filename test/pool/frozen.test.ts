/** Worker processes that are stopped from outside, or look as if they were. */
import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, it } from 'vitest'
import { systemVitals } from '../../src/pool/vitals.ts'
import { DrivenPool } from '../support/driven-pool.ts'

describe.runIf(process.platform === 'linux')('a worker process', () => {
  const driven: DrivenPool[] = []
  const drive = (...args: ConstructorParameters<typeof DrivenPool>) => {
    const made = new DrivenPool(...args)
    driven.push(made)
    return made
  }
  afterEach(() => Promise.all(driven.splice(0).map(({ pool }) => pool.close())))

  it('that is stopped while it runs is ended, and another takes its place', async () => {
    const one = drive('processes', { lookEveryMs: 10 })
    await one.run({ do: 'nothing' })
    const [{ pid } = { pid: undefined }] = one.pool.workers()
    const held = one.run({ do: 'later', n: 2 ** 30 })
    process.kill(pid as number, 'SIGSTOP')
    expect(await held).toMatchObject({ death: { reason: 'frozen', signal: 'SIGKILL' } })
    expect(await one.run({ do: 'nothing' })).toMatchObject({ death: undefined })
    expect(one.pool.workers()[0]?.pid).not.toBe(pid)
  })

  it('that was stopped while idle is ended when it should run something', async () => {
    const one = drive('processes', { lookEveryMs: 10 })
    await one.run({ do: 'nothing' })
    process.kill(one.pool.workers()[0]?.pid as number, 'SIGSTOP')
    expect(await one.run({ do: 'nothing' })).toMatchObject({ death: { reason: 'frozen' } })
  })

  it('that computes without a pause is left alone, as is one that waits', async () => {
    const one = drive('processes', { lookEveryMs: 2 })
    expect(await one.run({ do: 'spin', n: 500 })).toMatchObject({ death: undefined })
    expect(await one.run({ do: 'later', n: 500 })).toMatchObject({ death: undefined })
  })

  it('that leaves by itself takes along what it started', async () => {
    const one = drive('processes')
    const { messages } = await one.run({ do: 'spawn' })
    const sleeper = Number(messages[0])
    expect(systemVitals.progress(sleeper)).toBeDefined()
    await one.pool.close()
    // killed, and taken in by whoever adopts orphans
    while (!isGone(sleeper)) await new Promise((resolve) => setImmediate(resolve))
  })

  it('that is stopped does not keep its pool from closing', async () => {
    const one = drive('processes')
    await one.run({ do: 'nothing' })
    process.kill(one.pool.workers()[0]?.pid as number, 'SIGSTOP')
    await one.pool.close()
    expect(one.pool.workers()).toEqual([])
  })
})

/** A zombie whose parent does not look after it is gone too. */
function isGone(pid: number): boolean {
  try {
    return /^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
  } catch {
    return true
  }
}

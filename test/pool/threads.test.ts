import { existsSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { DrivenPool } from '../support/driven-pool.ts'

const open: DrivenPool[] = []
const make = (...args: ConstructorParameters<typeof DrivenPool>) => {
  const pool = new DrivenPool(...args)
  open.push(pool)
  return pool
}

afterEach(async () => {
  await Promise.all(open.splice(0).map(({ pool }) => pool.close()))
})

describe.each(['threads', 'processes'] as const)('%s', (kind) => {
  it('tell all they had to say before they exit', async () => {
    const driven = make(kind)
    const { messages, death } = await driven.run({ do: 'flood', n: 2_000 })
    expect(messages).toEqual(Array.from({ length: 2_000 }, (_, i) => `${i} ${'x'.repeat(i % 97)}`))
    expect(death).toMatchObject({ reason: 'exited', exitCode: 3 })
    expect((await driven.run({ do: 'nothing' })).death).toBeUndefined()
  })

  it.each([
    ['reject', 'nobody caught this'],
    ['throw', 'thrown from a timer'],
  ] as const)('that end by an error nobody caught (%s) say which', async (order, message) => {
    const driven = make(kind)
    const { death } = await driven.run({ do: order })
    expect(death).toMatchObject({ reason: 'exited', exitCode: 1 })
    expect(death?.stderrTail).toContain(message)
    expect((await driven.run({ do: 'nothing' })).death).toBeUndefined()
  })

  it('print to their pool, also right before they exit', async () => {
    const driven = make(kind)
    const { death } = await driven.run({ do: 'print' })
    expect(death).toMatchObject({ exitCode: 5, stderrTail: 'to error\n' })
    expect(driven.output.sort()).toEqual(['stderr: to error\n', 'stdout: to output\n'])
  })

  it('that ask to leave are replaced, and what lay ahead of them runs elsewhere, in order', async () => {
    const driven = make(kind, { prefetch: 4 })
    await driven.run({ do: 'nothing' })
    const [first] = driven.pool.workers()
    const ran = await Promise.all([
      driven.run({ do: 'recycle' }),
      driven.run({ do: 'nothing' }),
      driven.run({ do: 'env', name: 'NONE' }),
    ])
    expect(ran.map(({ death }) => death)).toEqual([undefined, undefined, undefined])
    const [second] = driven.pool.workers().filter(({ state }) => state === 'idle')
    expect(second?.id).toBe((first?.id ?? 0) + 1)
  })

  it('know how deep they are, and their share of the processors', async () => {
    const driven = make(kind, {}, { QUERN_DEPTH: '3', OMP_NUM_THREADS: '7' })
    const said = async (name: string) => (await driven.run({ do: 'env', name })).messages
    expect(await said('QUERN_DEPTH')).toEqual(['4'])
    expect(await said('OMP_NUM_THREADS')).toEqual(['7'])
    expect(Number((await said('QUERN_MAX_CPU_COUNT'))[0])).toBeGreaterThanOrEqual(1)
  })
})

describe('a thread', () => {
  it('inside native code that does not return is given up, and its pool closes', async () => {
    const driven = make('threads')
    const sign = join(mkdtempSync(join(tmpdir(), 'quern-')), 'inside')
    const running = driven.run({ do: 'native', name: sign })
    while (!existsSync(sign)) await new Promise((resolve) => setTimeout(resolve, 5))
    await driven.pool.close()
    expect((await running).death).toMatchObject({
      reason: 'closed',
      error: { message: expect.stringContaining('inside native code') },
    })
  })

  it('is given values that are moved, and moves its own back', async () => {
    const driven = make('threads')
    const floats = Float64Array.of(1, 2, 3)
    const { directs } = await driven.run({ do: 'double' }, { direct: { value: floats, transfer: [floats.buffer] } })
    expect(directs).toEqual([Float64Array.of(2, 4, 6)])
    expect(floats.byteLength).toBe(0)
  })

  it.each([
    ['a value that cannot be cloned', () => ({ value: () => 1, transfer: [] })],
    [
      'a buffer that was moved before',
      () => {
        const buffer = new ArrayBuffer(8)
        structuredClone(buffer, { transfer: [buffer] })
        return { value: buffer, transfer: [buffer] }
      },
    ],
  ])('is not given %s: the submit throws, at once or as the end of what had to wait', async (_name, direct) => {
    const driven = make('threads')
    await driven.run({ do: 'nothing' })
    expect(() => driven.run({ do: 'double' }, { direct: direct() })).toThrow(/a value cannot be sent to a thread/)
    const [first, second, third] = await Promise.all([
      driven.run({ do: 'nothing' }),
      driven.run({ do: 'double' }, { direct: direct() }),
      driven.run({ do: 'nothing' }),
    ])
    expect([first.death, third.death]).toEqual([undefined, undefined])
    expect(second.death).toMatchObject({ reason: 'unsendable', error: { code: 'SERIALIZATION' } })
  })

  it('cannot be a process: what is to be moved is refused there', async () => {
    const driven = make('processes')
    await driven.run({ do: 'nothing' })
    const direct = { value: 1, transfer: [] }
    expect(() => driven.run({ do: 'double' }, { direct })).toThrow(/to a worker thread only/)
    expect((await driven.run({ do: 'nothing' })).death).toBeUndefined()
  })

  it('that is idle for long enough leaves, and another comes when there is work', async () => {
    const driven = make('threads', { idleTimeoutMs: 1 })
    for (let round = 0; round < 3; round++) {
      expect((await driven.run({ do: 'nothing' })).death).toBeUndefined()
      while (driven.pool.workers().length > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    }
  })
})

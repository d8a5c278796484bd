/** Encoded results: in slabs, apart, or on the disk. */
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { ResultStore } from '../../src/executor/result-store.ts'

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString()

describe('the store of results', () => {
  it('gives each result as it was put, whatever was dropped and put again, wherever it lies', () => {
    const action = fc.record({
      call: fc.nat(12),
      length: fc.oneof(fc.nat(20), fc.constantFrom(4_095, 4_096, 4_097, 60_000, 300_000)),
      drop: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.constantFrom(0, 10_000, 1e9), fc.array(action, { maxLength: 60 }), (limit, actions) => {
        const store = new ResultStore(limit)
        const kept = new Map<number, Buffer>()
        actions.forEach(({ call, length, drop }, i) => {
          if (drop) {
            store.drop(call)
            kept.delete(call)
          } else {
            const bytes = Buffer.alloc(length, i + 1)
            store.put(call, bytes)
            kept.set(call, bytes)
          }
        })
        for (let call = 0; call < 14; call++) {
          const expected = kept.get(call)
          expect(store.has(call)).toBe(expected !== undefined)
          if (expected !== undefined) expect(Buffer.compare(store.get(call), expected)).toBe(0)
        }
      }),
    )
  })

  it('refuses what it does not have', () => {
    const store = new ResultStore(10)
    store.put(3, Buffer.from('x'))
    store.drop(3)
    for (const call of [0, 3, 99]) expect(() => store.get(call)).toThrow(`no result of call ${call}`)
  })

  it('writes to the disk what does not fit its memory, and takes memory again when some is free', () => {
    const store = new ResultStore(10)
    store.put(0, Buffer.from('0123456789'))
    store.put(1, Buffer.from('ab'))
    expect([store.isSpilled(0), store.isSpilled(1)]).toEqual([false, true])
    store.drop(0)
    store.put(2, Buffer.from('cd'))
    store.drop(1)
    store.put(3, Buffer.from('01234567'))
    expect([2, 3].map((call) => store.isSpilled(call))).toEqual([false, false])
    expect([text(store.get(2)), text(store.get(3)), store.isSpilled(9)]).toEqual(['cd', '01234567', false])
  })

  it('keeps in memory what the disk does not take', () => {
    vi.stubEnv('TMPDIR', '/quern/no/such/folder')
    const store = new ResultStore(10)
    for (const call of [0, 1, 2]) store.put(call, Buffer.from(`result ${call}`))
    expect([0, 1, 2].map((call) => [store.isSpilled(call), text(store.get(call))])).toEqual(
      [0, 1, 2].map((call) => [false, `result ${call}`]),
    )
    vi.unstubAllEnvs()
    store.put(3, Buffer.from('later'))
    expect([store.isSpilled(3), text(store.get(3))]).toEqual([true, 'later'])
  })

  it('keeps small results apart from the message that brought them, and large ones in it', () => {
    const store = new ResultStore(1e6)
    const message = Buffer.alloc(20_000, 1)
    store.put(0, message.subarray(0, 10))
    store.put(1, message.subarray(10, 10_000))
    expect([store.get(0).buffer === message.buffer, store.get(1).buffer === message.buffer]).toEqual([false, true])
  })

  it('takes little memory for one small result', () => {
    const store = new ResultStore(1e6)
    store.put(0, Buffer.from('one'))
    expect(store.get(0).buffer.byteLength).toBe(256)
  })
})

import { describe, expect, it } from 'vitest'
import { isNear, isOver, isSpent, toBytes, toMiB } from '../../src/pool/memory-limit.ts'
import { type MemoryProbe, OwnMemory } from '../../src/pool/own-memory.ts'

const MIB = 2 ** 20

describe('a memory limit of 100 MiB', () => {
  it.each([
    [90 * MIB, { near: false, spent: false, over: false }],
    [90 * MIB + 1, { near: true, spent: false, over: false }],
    [100 * MIB, { near: true, spent: false, over: false }],
    [100 * MIB + 1, { near: true, spent: true, over: false }],
    [164 * MIB, { near: true, spent: true, over: false }],
    [164 * MIB + 1, { near: true, spent: true, over: true }],
  ])('takes %i bytes for', (held, expected) => {
    expect({ near: isNear(held, 100), spent: isSpent(held, 100), over: isOver(held, 100) }).toEqual(expected)
  })

  it('counts in MiB', () => {
    expect([toBytes(3), toMiB(3 * MIB + 1), toMiB(2.6 * MIB)]).toEqual([3 * MIB, 3, 3])
  })
})

describe('a worker that looks at its own memory', () => {
  class Probe implements MemoryProbe {
    bytes = 50 * MIB
    asked = 0
    readonly seen = false
    used(): number {
      this.asked += 1
      return this.bytes
    }
  }

  it('counts what it holds beyond what it held when it was ready, and asks ten times a second at most', () => {
    const probe = new Probe()
    const memory = new OwnMemory(100, () => undefined, probe)
    probe.bytes = 150 * MIB
    expect(memory.isSpent(0)).toBe(false)
    probe.bytes += 1
    expect([memory.isSpent(99), memory.isSpent(100)]).toEqual([false, true])
    expect(probe.asked).toBe(3)
  })

  it('asks nothing where there is no limit', () => {
    const probe = new Probe()
    const memory = new OwnMemory(0, () => undefined, probe)
    probe.bytes = 1e12
    memory.watch()
    expect([memory.isSpent(1e9), probe.asked]).toEqual([false, 0])
    memory.unwatch()
  })
})

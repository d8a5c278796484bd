import { describe, expect, it } from 'vitest'
import { type Memory, WorkerLimits } from '../../src/futures/worker-limits.ts'

const LIMITS = { maxMemoryGrowthBytes: 100 }

class FakeMemory implements Memory {
  held = 1_000
  /** What a collection would free. */
  garbage = 0
  now = 5_000
  collections = 0

  used(): number {
    return this.held + this.garbage
  }
  collect(): void {
    this.collections += 1
    this.garbage = 0
  }
  nowMs(): number {
    return this.now
  }
}

/** A worker that has run its first task. */
function started(memory: FakeMemory): WorkerLimits {
  const limits = new WorkerLimits(LIMITS, memory)
  limits.count()
  expect(limits.grown()).toBeUndefined()
  return limits
}

describe('a worker that grows', () => {
  it('leaves when it holds so much more than after its first task', () => {
    const memory = new FakeMemory()
    memory.held = 9_000
    const limits = started(memory)
    memory.held += 99
    memory.now += 1_000
    expect(limits.grown()).toBeUndefined()
    memory.held += 1
    memory.now += 1_000
    expect(limits.grown()).toBe(100)
  })

  it('is looked at once a second', () => {
    const memory = new FakeMemory()
    const limits = started(memory)
    memory.held += 500
    memory.now += 999
    expect(limits.grown()).toBeUndefined()
    memory.now += 1
    expect(limits.grown()).toBe(500)
  })

  it('stays when all of it was garbage', () => {
    const memory = new FakeMemory()
    const limits = started(memory)
    const before = memory.collections
    memory.garbage = 500
    memory.now += 1_000
    expect(limits.grown()).toBeUndefined()
    expect(memory.collections).toBe(before + 1)
  })

  it('does not count garbage of the first task as what it needs', () => {
    const memory = new FakeMemory()
    memory.garbage = 10_000
    const limits = started(memory)
    memory.held += 100
    memory.now += 1_000
    expect(limits.grown()).toBe(100)
  })

  it('is not looked at before its first task, nor without a limit', () => {
    const memory = new FakeMemory()
    expect(new WorkerLimits(LIMITS, memory).grown()).toBeUndefined()
    const unlimited = new WorkerLimits({}, memory)
    unlimited.count()
    expect(unlimited.grown()).toBeUndefined()
    memory.held += 1e9
    memory.now += 5_000
    expect(unlimited.grown()).toBeUndefined()
    expect(memory.collections).toBe(0)
  })
})

describe('a worker of so many tasks', () => {
  it('has run all it may after the last', () => {
    const limits = new WorkerLimits({ maxTasks: 2 })
    limits.count()
    expect(limits.reached).toBe(false)
    limits.count()
    expect(limits.reached).toBe(true)
  })

  it('may run any number where none is given', () => {
    const limits = new WorkerLimits({})
    for (let i = 0; i < 1_000; i++) limits.count()
    expect(limits.reached).toBe(false)
  })
})

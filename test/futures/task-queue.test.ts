import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { UNKNOWN_PACE } from '../../src/futures/bundling.ts'
import { TaskFuture } from '../../src/futures/task-future.ts'
import { type Entry, TaskQueue } from '../../src/futures/task-queue.ts'

const shipped = { kind: 'text' as const, text: '() => undefined', name: 'f' }
const shared = { id: '1', shipped, bytes: new Uint8Array(), name: 'f', pace: UNKNOWN_PACE }

function entry(name: number, priority = 0): Entry {
  const task = { future: new TaskFuture<unknown>(systemClock), fn: () => undefined, args: [name], priority }
  return { task, shared, chunk: undefined, begun: false }
}

const nameOf = (entry: Entry | undefined) => entry?.task.args[0]

function names(queue: TaskQueue): unknown[] {
  const all: unknown[] = []
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) all.push(nameOf(next))
  return all
}

describe('a task queue', () => {
  it('gives higher priority first, first in first out among equals', () => {
    const queue = new TaskQueue()
    for (const [name, priority] of [
      [1, 0],
      [2, 5],
      [3, -1],
      [4, 5],
      [5, 0],
      [6, 2.5],
    ] as const) {
      queue.push(entry(name, priority))
    }
    expect(queue.size).toBe(6)
    expect(names(queue)).toEqual([2, 4, 6, 1, 5, 3])
    expect(queue.size).toBe(0)
    expect(queue.shift()).toBeUndefined()
  })

  it('takes back before their equals, in their old order, also when it was emptied meanwhile', () => {
    const queue = new TaskQueue()
    for (let name = 0; name < 5; name++) queue.push(entry(name))
    const taken = [queue.shift(), queue.shift(), queue.shift()] as Entry[]
    queue.unshift(taken)
    const all = [0, 1, 2, 3, 4].map(() => queue.shift() as Entry)
    expect(all.map(nameOf)).toEqual([0, 1, 2, 3, 4])
    queue.unshift(all)
    queue.push(entry(5))
    expect(names(queue)).toEqual([0, 1, 2, 3, 4, 5])
  })

  it('leaves out what was cancelled, and counts it no more', () => {
    const queue = new TaskQueue()
    const entries = [0, 1, 2, 3].map((name) => entry(name))
    for (const each of entries) queue.push(each)
    for (const at of [0, 2]) {
      entries[at]?.task.future.cancel()
      queue.withdrawn()
    }
    expect(queue.size).toBe(2)
    expect(nameOf(queue.peek())).toBe(1)
    expect(names(queue)).toEqual([1, 3])
    expect(queue.size).toBe(0)
  })

  it('gives the memory of cancelled tasks back before they are met', () => {
    const queue = new TaskQueue()
    const entries = Array.from({ length: 3_000 }, (_, name) => entry(name))
    for (const each of entries) queue.push(each)
    for (const each of entries.slice(10)) {
      each.task.future.cancel()
      queue.withdrawn()
    }
    expect(queue.size).toBe(10)
    expect(queue.drain().length).toBeLessThan(1_500)
  })

  it('is a stable sort by priority, whatever is pushed, taken, given back and cancelled', () => {
    const op = fc.oneof(
      fc.record({ op: fc.constant('push' as const), priority: fc.integer({ min: -2, max: 2 }) }),
      fc.record({ op: fc.constant('take' as const), count: fc.nat(4) }),
      fc.record({ op: fc.constant('back' as const) }),
      fc.record({ op: fc.constant('cancel' as const), at: fc.nat(20) }),
    )
    fc.assert(
      fc.property(fc.array(op, { maxLength: 60 }), (ops) => {
        const queue = new TaskQueue()
        let model: Entry[] = []
        let out: Entry[] = []
        let next = 0
        for (const each of ops) {
          if (each.op === 'push') {
            const made = entry(next++, each.priority)
            queue.push(made)
            const at = model.findIndex(({ task }) => task.priority < each.priority)
            model.splice(at === -1 ? model.length : at, 0, made)
          } else if (each.op === 'take') {
            out = []
            for (let i = 0; i < each.count; i++) {
              const taken = queue.shift()
              expect(taken).toBe(model.shift())
              if (taken !== undefined) out.push(taken)
            }
          } else if (each.op === 'back') {
            queue.unshift(out)
            model = out.concat(model).sort((a, b) => b.task.priority - a.task.priority)
            out = []
          } else {
            const [gone] = model.splice(each.at, 1)
            gone?.task.future.cancel()
            if (gone !== undefined) queue.withdrawn()
          }
          expect(queue.size).toBe(model.length)
        }
        expect(names(queue)).toEqual(model.map(nameOf))
      }),
    )
  })
})

import { expect, it } from 'vitest'
import { inLanes } from '../../src/cli/in-lanes.ts'

it('after a failure nothing more is begun, what had begun ends, and the source is left', async () => {
  let left = false
  async function* numbers() {
    try {
      for (let i = 0; i < 100; i++) yield i
    } finally {
      left = true
    }
  }
  const begun: number[] = []
  const ended: number[] = []
  const work = inLanes(numbers(), 2, async (i) => {
    begun.push(i)
    await new Promise((resolve) => setImmediate(resolve))
    if (i === 0) throw new Error('no')
    ended.push(i)
  })
  await expect(work).rejects.toThrow('no')
  expect(begun.length).toBeLessThan(4)
  expect(ended).toEqual(begun.slice(1))
  expect(left).toBe(true)
})

/** Puts under a condition whose answers are lost, late or refused: what is known in the end, and after how many requests. */
import { describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { type ErrorCode, StorageError } from '../../src/core/errors.ts'
import { putOnce, replaceVersion } from '../../src/job/place.ts'
import { layered } from '../../src/storage/layer.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'

const MINE = Buffer.from('mine')

/** A store whose first puts end as told; `always` for all of them. */
async function placeWhere(fails: readonly ErrorCode[], always = false) {
  const memory = new MemoryBackend()
  await memory.createBucket('b')
  const asked = { puts: 0, sleeps: 0 }
  const backend = layered(memory, {
    put(...given) {
      const code = fails[always ? 0 : asked.puts]
      asked.puts += 1
      if (code === undefined) return memory.put(...given)
      return Promise.reject(new StorageError(code, 'as told', { backend: 'memory', operation: 'put' }))
    },
  })
  const clock: Clock = {
    ...systemClock,
    sleep: async () => {
      asked.sleeps += 1
    },
  }
  return { memory, asked, clock, place: { backend, bucket: 'b' } }
}

describe('a put under a condition', () => {
  it('that fails for good is not tried again', async () => {
    const { place, clock, asked } = await placeWhere(['PERMISSION_DENIED'], true)
    await expect(putOnce(place, 'k', MINE, clock)).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    expect(asked).toEqual({ puts: 1, sleeps: 0 })
  })

  it('that is never answered fails after a while', async () => {
    const { place, clock, asked } = await placeWhere(['UNAVAILABLE'], true)
    await expect(putOnce(place, 'k', MINE, clock)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(asked).toEqual({ puts: 8, sleeps: 7 })
  })

  it('whose answer was lost is lost to what is there by then, without another put', async () => {
    const { memory, place, clock, asked } = await placeWhere(['UNAVAILABLE'])
    await memory.put('b', 'k', Buffer.from('other'))
    expect(await putOnce(place, 'k', MINE, clock)).toMatchObject({ won: false })
    expect(asked.puts).toBe(1)
  })

  it('that was refused for what is gone by now is done', async () => {
    const { place, clock, asked } = await placeWhere(['PRECONDITION_FAILED'])
    expect(await putOnce(place, 'k', MINE, clock)).toMatchObject({ won: true })
    expect(asked.puts).toBe(2)
  })

  it('that was refused is not tried again, whatever is there', async () => {
    const { memory, place, clock, asked } = await placeWhere(['PRECONDITION_FAILED'], true)
    const { etag } = await memory.put('b', 'k', Buffer.from('other'))
    expect(await replaceVersion(place, 'k', etag, MINE, clock)).toBeUndefined()
    expect(asked.puts).toBe(1)
  })
})

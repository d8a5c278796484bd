import { beforeEach, describe, expect, it, vi } from 'vitest'
import { StorageError } from '../../src/core/errors.ts'
import { callId } from '../../src/core/ids.ts'
import {
  type CallEnd,
  type Commit,
  commitDivision,
  commitEnd,
  commitSetAside,
  INLINE_RESULT_BYTES,
  readCommit,
} from '../../src/job/commits.ts'
import { commitKey } from '../../src/job/keys.ts'
import type { JournalPlace } from '../../src/job/place.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { layered } from '../../src/storage/layer.ts'
import type { MemoryBackend } from '../../src/storage/memory.ts'
import { callEnd, emptyPlace, STATS } from '../support/journal-in-memory.ts'

let memory: MemoryBackend
let place: JournalPlace

beforeEach(async () => {
  ;({ memory, place } = await emptyPlace())
})

function endIn(commit: Commit | undefined): CallEnd {
  if (commit?.type !== 'end') throw new Error(`the call has not ended: ${commit?.type}`)
  return commit.end
}

async function keys(): Promise<string[]> {
  const found: string[] = []
  for await (const page of memory.list('b')) found.push(...page.map(({ key }) => key))
  return found
}

describe('commits', () => {
  it('of many attempts at once one wins, and all report it: 1,000 rounds', async () => {
    const at = { ...place, name: 'abc-0-M000', series: 'M000' }
    for (let round = 0; round < 1_000; round++) {
      const size = round % 10 === 0 ? INLINE_RESULT_BYTES + 1 : 3
      const attempts = [1, 2, 3].map((n) => commitEnd(at, callId(round), callEnd(Buffer.alloc(size, n), n)))
      const ends = await Promise.all(attempts)
      expect(ends.filter(({ won }) => won)).toHaveLength(1)
      const winner = ends.findIndex(({ won }) => won) + 1
      for (const { commit } of ends) {
        const told = endIn(commit)
        expect(told.attempt).toBe(winner)
        expect(Buffer.compare(told.result, Buffer.alloc(size, winner))).toBe(0)
      }
    }
    // what losers had written is gone
    expect((await keys()).filter((key) => key.includes('/attempts/'))).toHaveLength(100)
  })

  it.each([0, INLINE_RESULT_BYTES, INLINE_RESULT_BYTES + 1])('a result of %i bytes is read back', async (size) => {
    const at = { ...place, name: 'abc-0-M000', series: 'M000' }
    const result = Buffer.alloc(size, 7)
    expect(await readCommit(at, '00000')).toBeUndefined()
    const given = { ...callEnd(result, 4), read: { delivered: 1 }, output: { key: 'o' } }
    expect(await commitEnd(at, '00000', given)).toEqual({ won: true, commit: { type: 'end', end: given } })
    const { result: back, ...rest } = endIn(await readCommit(at, '00000'))
    expect(Buffer.compare(back, result)).toBe(0)
    expect(rest).toEqual({ attempt: 4, stats: STATS, read: { delivered: 1 }, output: { key: 'o' } })
    expect(await keys()).toHaveLength(size > INLINE_RESULT_BYTES ? 2 : 1)
  })

  it.each([3, INLINE_RESULT_BYTES + 1])('of two attempts that are alike one wins (%i bytes)', async (size) => {
    const at = { ...place, name: 'abc-0-M000', series: 'M000' }
    const result = Buffer.alloc(size, 7)
    const both = await Promise.all([1, 2].map(() => commitEnd(at, '00000', callEnd(result))))
    expect(both.filter(({ won }) => won)).toHaveLength(1)
    expect(endIn(await readCommit(at, '00000')).result.byteLength).toBe(size)
  })

  it('a large result is there before its commit', async () => {
    const put = vi.spyOn(memory, 'put')
    const at = { ...place, name: 'abc-0-M000', series: 'M000' }
    await commitEnd(at, '00000', callEnd(Buffer.alloc(INLINE_RESULT_BYTES + 1)))
    expect(put.mock.calls.map(([, key]) => key.split('/')[2])).toEqual(['attempts', 'commits'])
  })

  it.each(['done', 'not done'])('an answer that is lost (%s) is no lost race', async (fate) => {
    let lost = 1
    const flaky: StorageBackend = layered(memory, {
      async put(bucket, key, body, options) {
        if (lost-- <= 0) return memory.put(bucket, key, body, options)
        if (fate === 'done') await memory.put(bucket, key, body, options)
        throw new StorageError('UNAVAILABLE', 'reset', { backend: 'memory', operation: 'put' })
      },
    })
    const at = { backend: flaky, bucket: 'b', name: 'abc-0-M000', series: 'M000' }
    expect((await commitEnd(at, '00000', callEnd(Buffer.from('x')))).won).toBe(true)
    const { commit } = await commitEnd(at, '00000', callEnd(Buffer.from('y')))
    expect(endIn(commit).result).toEqual(new Uint8Array([120]))
  })

  it('of an end, a division and a record set aside the first counts, for all of them', async () => {
    const at = { ...place, name: 'abc-0-M000', series: 'M000' }
    const record = { range: { start: 3, end: 7 }, bytes: Buffer.from('bad\n'), error: Buffer.from('why') }
    const kinds = ['end', 'divided', 'set aside'] as const
    const tries = [
      async (id: string) => (await commitEnd(at, id, callEnd(Buffer.from('x')))).commit,
      (id: string) => commitDivision(at, id, 40),
      async (id: string) => (await commitSetAside(at, id, record)).commit,
    ]
    for (const [first, attempt] of tries.entries()) {
      const id = callId(first)
      expect(await attempt(id)).toMatchObject({ type: kinds[first] })
      for (const other of tries) expect(await other(id)).toMatchObject({ type: kinds[first] })
      expect(await readCommit(at, id)).toMatchObject({ type: kinds[first] })
    }
    expect((await commitEnd(at, '00001', callEnd(Buffer.from('x')))).won).toBe(false)
    expect((await commitSetAside(at, '00002', record)).won).toBe(false)
    expect(await readCommit(at, '00001')).toEqual({ type: 'divided', at: 40 })
    const { record: back } = (await readCommit(at, '00002')) as Extract<Commit, { type: 'set aside' }>
    expect([back.range, ...[back.bytes, back.error].map((bytes) => Buffer.from(bytes).toString())]).toEqual([
      ...[record.range, 'bad\n', 'why'],
    ])
  })

  it('a store that fails for good fails the commit', async () => {
    const broken = layered(memory, {
      put: () => Promise.reject(new StorageError('PERMISSION_DENIED', 'no', { backend: 'memory', operation: 'put' })),
    })
    const at = { backend: broken, bucket: 'b', name: 'abc-0-M000', series: 'M000' }
    await expect(commitEnd(at, '00000', callEnd(Buffer.from('x')))).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
  })

  it('a result that is not whole, or a commit of another format, is an error', async () => {
    const at = { ...place, name: 'abc-0-M000', series: 'M000' }
    await commitEnd(at, '00000', callEnd(Buffer.alloc(INLINE_RESULT_BYTES + 1)))
    const [large = ''] = (await keys()).filter((key) => key.includes('/attempts/'))
    for (const size of [5, INLINE_RESULT_BYTES + 2]) {
      await memory.put('b', large, Buffer.alloc(size))
      await expect(readCommit(at, '00000')).rejects.toThrow(`has ${size} bytes of`)
    }
    const head = Buffer.from(JSON.stringify({ version: 2 }))
    const length = Buffer.alloc(4)
    length.writeUInt32LE(head.length)
    await memory.put('b', commitKey('abc-0-M000', 'M000', '00001'), Buffer.concat([length, head]))
    await expect(readCommit(at, '00001')).rejects.toThrow(/format 2/)
  })
})

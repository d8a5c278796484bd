/** Storage contract: listings, keys of every kind, deletes and buckets. */
import { describe, expect } from 'vitest'
import type { StorageBench } from './storage-bench.ts'

export function testKeys(bench: StorageBench): void {
  const { at, clause, list, put, text } = bench
  describe('list', () => {
    clause('takes its prefix as text, not as a folder', async () => {
      for (const key of ['foo_bar', 'foo/b', 'foo/a', 'fo', 'fop', 'foo.x']) await put(key)
      expect(await list('')).toEqual(['fo', 'foo.x', 'foo/a', 'foo/b', 'foo_bar', 'fop'])
      expect(await list('foo')).toEqual(['foo.x', 'foo/a', 'foo/b', 'foo_bar'])
      expect(await list('foo/')).toEqual(['foo/a', 'foo/b'])
      expect(await list('foo/a')).toEqual(['foo/a'])
      expect(await list('foo/a/')).toEqual([])
      expect(await list('none')).toEqual([])
    })

    clause('orders keys by their UTF-8 bytes', async () => {
      const keys = [
        'a',
        'a!',
        'a.txt',
        'a0/x',
        'b/c!',
        'b/c/d',
        'b/c0',
        'B',
        'é',
        '\uffee',
        '\u{1f600}',
        '\u{1f601}/x',
        '日本',
      ]
      for (const key of keys) await put(`o/${key}`)
      const byBytes = keys.toSorted((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)))
      expect(byBytes.indexOf('\uffee')).toBeLessThan(byBytes.indexOf('\u{1f600}'))
      expect(await list('o/')).toEqual(byBytes.map((key) => `o/${key}`))
      // wherever a listing is cut, its parts are the whole
      for (const cut of ['a.', 'a/', 'b/c/', 'b/d', 'c', 'ê', '\ud7ff', '\uffff', '\u{1f600}', '\u{1f602}', '本']) {
        const before = byBytes.filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(cut)) <= 0)
        const after = byBytes.slice(before.length).map((key) => `o/${key}`)
        expect([cut, await list('o/', `o/${cut}`)]).toEqual([cut, after])
      }
    })

    clause('starts after a key, whether it is there or not', async () => {
      for (const key of ['s/a', 's/b/1', 's/b/2', 's/b.x', 's/c']) await put(key)
      expect(await list('s/', 's/b/1')).toEqual(['s/b/2', 's/c'])
      expect(await list('s/', 's/b')).toEqual(['s/b.x', 's/b/1', 's/b/2', 's/c'])
      expect(await list('s/', 's/b/')).toEqual(['s/b/1', 's/b/2', 's/c'])
      expect(await list('s/', 'a')).toEqual(['s/a', 's/b.x', 's/b/1', 's/b/2', 's/c'])
      expect(await list('s/', 's/c')).toEqual([])
    })

    clause('gives the heads that head gives, over pages', async () => {
      const names = Array.from({ length: 1_001 }, (_, i) => `n/${i.toString().padStart(4, '0')}`)
      for (let i = 0; i < names.length; i += 100) await Promise.all(names.slice(i, i + 100).map((key) => put(key, key)))
      const pages = []
      for await (const page of bench.storage.list(bench.bucket, { prefix: at('n/') })) pages.push(page)
      expect(pages.length).toBeGreaterThan(1)
      const heads = pages.flat()
      expect(heads.map(({ key }) => key)).toEqual(names.map(at))
      const one = heads[7]
      expect(await bench.storage.head(bench.bucket, at('n/0007'))).toMatchObject({
        key: one?.key,
        size: 6,
        etag: one?.etag,
      })
      await bench.storage.delete(bench.bucket, names.map(at))
      expect(await list('')).toEqual([])
    })

    clause('of a missing bench.bucket is NOT_FOUND', async () => {
      const read = async () => {
        for await (const page of bench.storage.list(`${bench.bucket}-none`)) expect(page).toEqual([])
      }
      await expect(read()).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })
  })

  describe('keys', () => {
    const everyKey = [
      'with space',
      '100%',
      'a%20b',
      'a+b',
      'a#b',
      'a?b=c',
      `quotes'"<>&`,
      'ünï/日本/\u{1f600}',
      'a//b',
      '/lead',
      'tail/',
      'x/../y',
      '..',
      './z',
      'back\\slash',
      'new\nline',
      'back',
      '~*()!',
      '.hidden',
      '.quern/x',
      'k'.repeat(900),
      `${'d/'.repeat(100)}${'é'.repeat(200)}`,
      '007',
      '1.50',
      '0x10',
      `${'é'.repeat(511)}/z`,
    ]
    const isRefused = (key: string) => bench.storage.capabilities.refusedKeys?.test(at(key)) === true

    clause('are held whatever they are, where anyKey is claimed', async ({ skip }) => {
      if (!bench.storage.capabilities.anyKey) return skip('not claimed')
      const anyKeys = everyKey.filter((key) => !isRefused(key))
      for (const key of anyKeys) await put(key, `content of ${key}`)
      for (const key of anyKeys) expect(await text(key), key).toBe(`content of ${key}`)
      const byBytes = anyKeys.toSorted((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)))
      expect(await list('')).toEqual(byBytes)
      expect(await list('x/../')).toEqual(['x/../y'])
      expect(await list('', 'x/')).toEqual(
        byBytes.filter((key) => Buffer.compare(Buffer.from(key), Buffer.from('x/')) > 0),
      )
      await bench.storage.delete(bench.bucket, anyKeys.map(at))
      expect(await list('')).toEqual([])
    })

    clause('that the store refuses by its own rules are refused as UNSUPPORTED', async ({ skip }) => {
      const refused = everyKey.filter(isRefused)
      if (refused.length === 0) return skip('it refuses none')
      for (const key of refused) {
        await expect(put(key), key).rejects.toMatchObject({ code: 'UNSUPPORTED' })
        await expect(bench.storage.get(bench.bucket, at(key)), key).rejects.toMatchObject({ code: 'NOT_FOUND' })
        await expect(bench.storage.head(bench.bucket, at(key)), key).rejects.toMatchObject({ code: 'NOT_FOUND' })
      }
      await bench.storage.delete(bench.bucket, refused.map(at))
      await bench.storage.headBucket(bench.bucket)
      expect(await list('')).toEqual([])
    })

    for (const order of [
      ['a', 'a/b', 'a/b/c'],
      ['a/b/c', 'a/b', 'a'],
      ['a/b', 'a/b/c', 'a'],
    ]) {
      clause(`a, a/b and a/b/c are side by side, put as ${order.join(' ')}`, async ({ skip }) => {
        if (!bench.storage.capabilities.anyKey) return skip('not claimed')
        for (const key of order) await put(key, `1 ${key}`)
        for (const key of order.toReversed()) await put(key, `2 ${key}`)
        for (const key of order) expect(await text(key)).toBe(`2 ${key}`)
        expect(await list('')).toEqual(['a', 'a/b', 'a/b/c'])
        await bench.storage.delete(bench.bucket, [at(order[0] as string)])
        expect(await list('')).toEqual(order.slice(1).toSorted())
        await put(order[0] as string, '3')
        expect(await list('')).toEqual(['a', 'a/b', 'a/b/c'])
        expect(await text(order[0] as string)).toBe('3')
      })
    }

    clause('that cannot be held are refused, where anyKey is not claimed', async ({ skip }) => {
      if (bench.storage.capabilities.anyKey) return skip('claimed')
      await put('file')
      for (const key of ['x/../y', './z', 'a//b', 'tail/', 'k'.repeat(256), 'nul\0', 'file/below']) {
        await expect(put(key), key).rejects.toMatchObject({ code: 'UNSUPPORTED' })
        await expect(bench.storage.get(bench.bucket, at(key)), key).rejects.toMatchObject({ code: 'NOT_FOUND' })
      }
      expect(await list('')).toEqual(['file'])
    })
  })

  describe('delete', () => {
    clause('removes keys, and can be repeated', async () => {
      for (const key of ['d/a', 'd/b', 'd/c']) await put(key)
      await bench.storage.delete(bench.bucket, [at('d/a'), at('never/was'), at('d/c')])
      await bench.storage.delete(bench.bucket, [at('d/a'), at('d')])
      await bench.storage.delete(bench.bucket, [])
      await expect(bench.storage.head(bench.bucket, at('d/a'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
      expect(await list('')).toEqual(['d/b'])
    })

    clause('does not race with puts into the same folder', async () => {
      const lane = async (name: string) => {
        for (let i = 0; i < 30; i++) {
          await put(`deep/er/${name}`, `${i}`)
          expect(await text(`deep/er/${name}`)).toBe(`${i}`)
          await bench.storage.delete(bench.bucket, [at(`deep/er/${name}`)])
        }
      }
      await Promise.all(['a', 'b', 'c', 'd'].map(lane))
      expect(await list('')).toEqual([])
    })
  })

  clause('buckets are made twice, found, and deleted only when empty', async ({ skip }) => {
    const other = `${bench.bucket}-other`
    try {
      await bench.storage.createBucket(other)
    } catch (error) {
      expect(error).toMatchObject({ code: 'UNSUPPORTED' })
      return skip('has no buckets to make')
    }
    await bench.storage.createBucket(other)
    await bench.storage.headBucket(other)
    await bench.storage.put(other, 'a/b', Buffer.from('x'))
    await expect(bench.storage.deleteBucket(other)).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
    await bench.storage.delete(other, ['a/b'])
    await bench.storage.deleteBucket(other)
    await expect(bench.storage.headBucket(other)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(bench.storage.deleteBucket(other)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  clause('close can be repeated', async () => {
    await bench.storage.close()
    await bench.storage.close()
  })
}

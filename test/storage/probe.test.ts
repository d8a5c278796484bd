import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.ts'
import type { PutOptions, StorageBackend } from '../../src/storage/backend.ts'
import { layered } from '../../src/storage/layer.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { probeConditionalPuts } from '../../src/storage/probe.ts'

const CONTEXT = { backend: 'fake', operation: 'put' }

async function memory(): Promise<MemoryBackend> {
  const backend = new MemoryBackend()
  await backend.createBucket('b')
  return backend
}

/** A store that does with conditions what `change` makes of them. */
function changed(backend: StorageBackend, change: (options: PutOptions) => PutOptions): StorageBackend {
  return layered(backend, { put: (bucket, key, body, options = {}) => backend.put(bucket, key, body, change(options)) })
}

async function keysOf(backend: StorageBackend): Promise<string[]> {
  const keys: string[] = []
  for await (const page of backend.list('b')) keys.push(...page.map(({ key }) => key))
  return keys
}

describe('a store is asked whether it puts conditionally', () => {
  it('one that does passes, and nothing is left in it', async () => {
    const backend = await memory()
    expect(await probeConditionalPuts(backend, 'b')).toBeUndefined()
    expect(await keysOf(backend)).toEqual([])
  })

  it.each<[string, (options: PutOptions) => PutOptions, string]>([
    ['ignores ifAbsent', ({ ifAbsent: _, ...rest }) => rest, 'it put over an object that had to be absent'],
    ['ignores ifMatch', ({ ifMatch: _, ...rest }) => rest, 'it replaced a version that was out of date'],
    ['ignores both', () => ({}), 'it put over an object that had to be absent'],
  ])('one that %s is found out', async (_, change, refusal) => {
    const backend = changed(await memory(), change)
    expect(await probeConditionalPuts(backend, 'b')).toBe(refusal)
    expect(await keysOf(backend)).toEqual([])
  })

  it('one that refuses everything, or does what it refuses, is found out', async () => {
    const refusing = layered(await memory(), {
      put: () => Promise.reject(new StorageError('ALREADY_EXISTS', 'no', CONTEXT)),
    })
    expect(await probeConditionalPuts(refusing, 'b')).toContain('refused to put an object that was not there')
    const backend = await memory()
    const lying = layered(backend, {
      async put(bucket, key, body, options = {}) {
        const stale = options.ifMatch !== undefined && (await backend.head(bucket, key)).etag !== options.ifMatch
        const head = await backend.put(bucket, key, body, stale ? {} : options)
        if (stale) throw new StorageError('PRECONDITION_FAILED', 'no', CONTEXT)
        return head
      },
    })
    expect(await probeConditionalPuts(lying, 'b')).toBe('it refused a put and did it all the same')
  })

  it('one whose versions share an etag, or that cannot replace the version that is there, is found out', async () => {
    const backend = await memory()
    const same = layered(backend, {
      async put(...request) {
        return { ...(await backend.put(...(request as Parameters<StorageBackend['put']>))), etag: '"1"' }
      },
    })
    expect(await probeConditionalPuts(same, 'b')).toMatch(/same etag|refused to replace/)
    const never = changed(await memory(), (options) => (options.ifMatch === undefined ? options : { ifMatch: '"x"' }))
    expect(await probeConditionalPuts(never, 'b')).toBe('it refused to replace the version that was there')
  })

  it('one that says it cannot is not asked', async () => {
    const backend = await memory()
    const plain = { ...layered(backend, {}), capabilities: { ...backend.capabilities, conditionalPut: false } }
    const readOnly = { ...layered(backend, {}), capabilities: { ...backend.capabilities, writable: false } }
    plain.put = readOnly.put = () => Promise.reject(new Error('asked'))
    expect(await probeConditionalPuts(plain, 'b')).toBe('it has no conditional puts')
    expect(await probeConditionalPuts(readOnly, 'b')).toBe('it cannot be written to')
  })

  it('the answer is kept for each bucket; a failure to ask is not', async () => {
    const backend = await memory()
    await backend.createBucket('c')
    let puts = 0
    let broken = true
    const counting = layered(backend, {
      put(...request) {
        puts += 1
        if (broken) return Promise.reject(new StorageError('UNAVAILABLE', 'away', CONTEXT))
        return backend.put(...request)
      },
    })
    await expect(probeConditionalPuts(counting, 'b')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    broken = false
    expect(await probeConditionalPuts(counting, 'b')).toBeUndefined()
    const after = puts
    expect(await probeConditionalPuts(counting, 'b')).toBeUndefined()
    expect(puts).toBe(after)
    expect(await probeConditionalPuts(counting, 'c')).toBeUndefined()
    expect(puts).toBeGreaterThan(after)
  })
})

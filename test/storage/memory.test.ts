import { expect, it } from 'vitest'
import { MemoryBackend, processMemory } from '../../src/storage/memory.ts'
import { testStorageBackend } from '../conformance/storage-backend.ts'

testStorageBackend('MemoryBackend', async () => {
  const backend = new MemoryBackend()
  await backend.createBucket('bucket')
  return { backend, bucket: 'bucket' }
})

it('keeps the content type', async () => {
  const storage = new MemoryBackend()
  await storage.createBucket('b')
  await storage.put('b', 'k', Buffer.from('x'), { contentType: 'text/csv' })
  expect(await storage.head('b', 'k')).toMatchObject({ contentType: 'text/csv' })
})

it('has one store for the process', () => {
  expect(processMemory()).toBe(processMemory())
})

it('lists keys that come and go between pages without repeating one', async () => {
  const storage = new MemoryBackend()
  await storage.createBucket('b')
  const key = (i: number) => `k${i.toString().padStart(5, '0')}`
  for (let i = 0; i < 2_500; i++) await storage.put('b', key(i), new Uint8Array(0))
  const seen: string[] = []
  for await (const page of storage.list('b')) {
    seen.push(...page.map((head) => head.key))
    await storage.put('b', `${key(seen.length)}+`, new Uint8Array(0))
    await storage.delete('b', [key(1_500)])
  }
  expect(seen).toEqual(Array.from({ length: 2_500 }, (_, i) => key(i)).filter((k) => k !== key(1_500)))
})

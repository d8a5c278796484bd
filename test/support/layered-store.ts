/** The stores that every layer runs the contract over: in memory, and in files. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { LocalhostBackend } from '../../src/storage/localhost.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { testStorageBackend } from '../conformance/storage-backend.ts'

/** The storage suite over memory and localhost, each under the layer. */
export function testStorageLayer(name: string, layer: (backend: StorageBackend) => StorageBackend): void {
  testStorageBackend(`MemoryBackend under ${name}`, async () => {
    const backend = new MemoryBackend()
    await backend.createBucket('bucket')
    return { backend: layer(backend), bucket: 'bucket' }
  })
  testStorageBackend(`LocalhostBackend under ${name}`, async () => {
    const root = mkdtempSync(join(tmpdir(), 'quern-layer-'))
    const backend = new LocalhostBackend({ root })
    await backend.createBucket('bucket')
    const dispose = async () => rmSync(root, { recursive: true, force: true })
    return { backend: layer(backend), bucket: 'bucket', dispose }
  })
}

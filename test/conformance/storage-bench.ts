/** What the sections of the storage suite share: the store under test, and short ways to write to and read from it. */
import { afterEach, beforeEach, it } from 'vitest'
import type { GetOptions, ObjectHead, StorageBackend } from '../../src/storage/backend.ts'

export interface StorageUnderTest {
  readonly backend: StorageBackend
  /** Empty, and of this test alone. */
  readonly bucket: string
  /** Stands before every key, where the bucket itself cannot be empty. Ends in a slash. */
  readonly prefix?: string
  dispose?(): Promise<void>
}

export interface StorageSuiteOptions {
  /** Titles of clauses that a known defect of the store behind the backend keeps from holding, and why. */
  readonly except?: Readonly<Record<string, string>>
}

export type Clause = (title: string, test: (context: { skip(note?: string): void }) => Promise<void>) => void

export interface StorageBench {
  readonly storage: StorageBackend
  readonly bucket: string
  readonly clause: Clause
  /** The key under the prefix of this test. */
  readonly at: (key: string) => string
  readonly put: (key: string, content?: string | Uint8Array) => Promise<ObjectHead>
  readonly text: (key: string, how?: GetOptions) => Promise<string>
  readonly list: (prefix: string, startAfter?: string) => Promise<string[]>
}

export const CONTENT = 'arbitrary data'
export const MIB = 1 << 20

/** A fresh store for each test of the surrounding `describe`. */
export function storageBench(create: () => Promise<StorageUnderTest>, options: StorageSuiteOptions): StorageBench {
  let under: StorageUnderTest
  beforeEach(async () => {
    under = await create()
  })
  afterEach(async () => {
    await under.dispose?.()
  })
  const at = (key: string) => (under.prefix ?? '') + key
  return {
    get storage() {
      return under.backend
    },
    get bucket() {
      return under.bucket
    },
    at,
    clause(title, test) {
      const why = options.except?.[title]
      if (why === undefined) it(title, test)
      else it.skip(`${title} (${why})`, test)
    },
    put: (key, content = CONTENT) =>
      under.backend.put(under.bucket, at(key), typeof content === 'string' ? Buffer.from(content) : content),
    text: async (key, how = {}) => {
      const { body } = await under.backend.get(under.bucket, at(key), how)
      return (await collect(body)).toString()
    },
    list: async (prefix, startAfter) => {
      const after = startAfter === undefined ? {} : { startAfter: at(startAfter) }
      const keys: string[] = []
      for await (const page of under.backend.list(under.bucket, { prefix: at(prefix), ...after })) {
        for (const { key } of page) keys.push(key.slice(at('').length))
      }
      return keys
    },
  }
}

export async function chunksOf(body: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return chunks
}

export async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await chunksOf(body))
}

export async function* pieces(content: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < content.length; start += size) yield content.subarray(start, start + size)
}

/** Bytes without a pattern, the same on every run. */
export function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let state = 1
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

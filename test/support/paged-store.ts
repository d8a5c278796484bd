/** A store whose listings come in short pages and in turns: all pages that are asked for at a time are answered together. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ListOptions, ObjectHead, StorageBackend } from '../../src/storage/backend.ts'
import { layered } from '../../src/storage/layer.ts'

export interface PagedStore extends StorageBackend {
  readonly requests: number
  /** Round trips one after the other that listings took so far. */
  readonly turns: number
  /** Listings that were begun and neither ended nor were closed. */
  readonly open: number
}

/** @param beforeTurn runs before each turn is answered */
export function pagedStore(
  store: StorageBackend,
  pageKeys: number,
  beforeTurn: () => Promise<unknown> = async () => undefined,
): PagedStore {
  const counts = { requests: 0, turns: 0, open: 0 }
  let turn: Promise<void> | undefined
  const answered = () => {
    turn ??= nextTurn().then(async () => {
      turn = undefined
      counts.turns += 1
      await beforeTurn()
    })
    return turn
  }
  async function* list(bucket: string, options: ListOptions = {}): AsyncGenerator<readonly ObjectHead[]> {
    let { startAfter } = options
    counts.open += 1
    try {
      for (;;) {
        options.signal?.throwIfAborted()
        counts.requests += 1
        await answered()
        options.signal?.throwIfAborted()
        const page = await first(store, bucket, { ...options, startAfter }, pageKeys + 1)
        if (page.length > 0) yield page.slice(0, pageKeys)
        if (page.length <= pageKeys) return
        startAfter = page[pageKeys - 1]?.key
      }
    } finally {
      counts.open -= 1
    }
  }
  const methods = layered(store, { list })
  return Object.defineProperties(methods, {
    requests: { get: () => counts.requests },
    turns: { get: () => counts.turns },
    open: { get: () => counts.open },
  }) as PagedStore
}

async function first(
  store: StorageBackend,
  bucket: string,
  options: ListOptions,
  count: number,
): Promise<ObjectHead[]> {
  const heads: ObjectHead[] = []
  for await (const page of store.list(bucket, options)) {
    heads.push(...page.slice(0, count - heads.length))
    if (heads.length === count) break
  }
  return heads
}

/** An attempt writes, commits and publishes: what is there at every moment, whoever wins, dies or comes late. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { collectBytes } from '../../src/core/bytes.ts'
import type { StorageError } from '../../src/core/errors.ts'
import { decodeValue } from '../../src/functions/codec.ts'
import { INLINE_RESULT_BYTES } from '../../src/job/commits.ts'
import type { CallSpec } from '../../src/job/messages.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { FileBackend } from '../../src/storage/file.ts'
import { layered } from '../../src/storage/layer.ts'
import { LocalhostBackend } from '../../src/storage/localhost.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { type FaultKind, withFaults } from '../../src/storage/with-faults.ts'
import { CommittedCall } from '../../src/worker/committed-call.ts'
import { finishOutput, type OutputCall } from '../../src/worker/output-call.ts'

const folder = mkdtempSync(join(tmpdir(), 'quern-output-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const NAME = 'abc-0-M000'
const LARGE = INLINE_RESULT_BYTES * 3 + 5
const SIZES = [0, 5, INLINE_RESULT_BYTES, INLINE_RESULT_BYTES + 1, LARGE]

interface Target {
  readonly store: StorageBackend
  readonly bucket: string
  readonly prefix: string
}

let journal: StorageBackend
beforeEach(async () => {
  journal = new MemoryBackend()
  await journal.createBucket('j')
})

const TARGETS: Readonly<Record<string, () => Promise<Target>>> = {
  memory: async () => {
    const store = new MemoryBackend()
    await store.createBucket('out')
    return { store, bucket: 'out', prefix: 'results/' }
  },
  localhost: async () => {
    const store = new LocalhostBackend({ root: mkdtempSync(join(folder, 'local-')) })
    await store.createBucket('out')
    return { store, bucket: 'out', prefix: 'results/' }
  },
  file: async () => ({
    store: new FileBackend(),
    bucket: '/',
    prefix: `${mkdtempSync(join(folder, 'files-')).slice(1)}/`,
  }),
}

interface Attempt {
  readonly value: unknown
  readonly attempt?: number
  readonly expected?: string | null
  readonly store?: StorageBackend
  readonly journalStore?: StorageBackend
  readonly signal?: AbortSignal
}

function callOf(target: Target, given: Attempt): OutputCall {
  const { attempt = 1, expected = null, store = target.store, journalStore = journal } = given
  const { conditionalPut: conditional } = target.store.capabilities
  const place = { backend: journalStore, bucket: 'j', name: NAME, series: 'M000' }
  const spec: CallSpec = { call: 0, attempt, input: { type: 'item', value: new Uint8Array(0) } }
  return {
    committed: new CommittedCall(place, spec, () => undefined),
    output: { key: `${target.prefix}a`, expect: expected },
    head: { backend: 'target', bucket: target.bucket, format: 'auto', conditional },
    journal: place,
    resolve: async () => store,
    signal: given.signal ?? new AbortController().signal,
    run: async () => given.value,
    end: (sizeBytes) => ({ attempt, stats: { resultBytes: sizeBytes } as never }),
  }
}

async function run(target: Target, attempt: Attempt) {
  const { end } = await finishOutput(callOf(target, attempt))
  return decodeValue(end.result) as { key: string; size: number; etag: string; contentType: string }
}

async function textAt({ store, bucket, prefix }: Target): Promise<string | undefined> {
  try {
    const { body } = await store.get(bucket, `${prefix}a`)
    return Buffer.from(await collectBytes(body)).toString()
  } catch (error) {
    expect(error).toMatchObject({ code: 'NOT_FOUND' })
    return undefined
  }
}

async function keysOf(store: StorageBackend, bucket: string, prefix = ''): Promise<string[]> {
  const keys: string[] = []
  for await (const page of store.list(bucket, { prefix })) keys.push(...page.map(({ key }) => key))
  return keys
}

async function attemptsLeft(): Promise<string[]> {
  return keysOf(journal, 'j', `quern.jobs/${NAME}/attempts/`)
}

function text(size: number, letter = 'x'): string {
  return letter.repeat(size)
}

describe.each(Object.keys(TARGETS))('an output to %s', (name) => {
  let target: Target
  beforeEach(async () => {
    target = await (TARGETS[name] as () => Promise<Target>)()
  })
  const put = (value: string) => target.store.put(target.bucket, `${target.prefix}a`, Buffer.from(value))

  it.each(SIZES)('of %i bytes appears under its key, and is the result', async (size) => {
    const object = await run(target, { value: text(size) })
    expect(await textAt(target)).toBe(text(size))
    const head = await target.store.head(target.bucket, `${target.prefix}a`)
    expect(object).toMatchObject({ key: `${target.prefix}a`, size, etag: head.etag })
    expect(object.contentType).toBe('text/plain; charset=utf-8')
    expect((await attemptsLeft()).length).toBe(size > INLINE_RESULT_BYTES ? 1 : 0)
  })

  it.each(SIZES)('of %i bytes that lost leaves nothing, and the winner is published', async (size) => {
    const [one, two] = await Promise.all([
      run(target, { value: text(size, 'a'), attempt: 1 }),
      run(target, { value: text(size, 'b'), attempt: 2 }),
    ])
    expect([text(size, 'a'), text(size, 'b')]).toContain(await textAt(target))
    expect(one.size).toBe(two.size)
    if (target.store.capabilities.conditionalPut) expect(one.etag).toBe(two.etag)
    expect((await attemptsLeft()).length).toBe(size > INLINE_RESULT_BYTES ? 1 : 0)
  })

  it.each(SIZES)('of %i bytes whose attempt died after its commit is published by the next, unrun', async (size) => {
    const broken = layered(target.store, { put: () => Promise.reject(new RangeError('died')) })
    await expect(run(target, { value: text(size), store: broken })).rejects.toThrow('died')
    expect(await textAt(target)).toBeUndefined()
    const run2 = callOf(target, { value: 0, attempt: 2 })
    const unrun = () => Promise.reject(new Error('it ran again'))
    await finishOutput({ ...run2, run: unrun })
    expect(await textAt(target)).toBe(text(size))
  })

  it.each(SIZES)('of %i bytes is published again without a trace', async (size) => {
    const first = await run(target, { value: text(size) })
    const second = await run(target, { value: 'other', attempt: 2 })
    expect(second).toEqual(first)
    expect(await textAt(target)).toBe(text(size))
  })

  it('that is large is not read again to see that it was published', async () => {
    await run(target, { value: text(LARGE) })
    let reads = 0
    const store = layered(target.store, {
      get: (...request) => {
        reads += 1
        return target.store.get(...request)
      },
    })
    await run(target, { value: 'unused', attempt: 2, store })
    expect(reads).toBe(0)
  })

  it('replaces the version that was there at the start, and no later one', async () => {
    const { etag } = await put('before')
    await run(target, { value: 'now', expected: etag })
    expect(await textAt(target)).toBe('now')
    const stale = run({ ...target }, { value: 'stale', expected: etag, journalStore: await otherJournal() })
    await expect(stale).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
    expect(await textAt(target)).toBe('now')
  })

  it.each(SIZES)('of %i bytes by a stale winner does not overwrite what a later job put', async (size) => {
    const stopped = layered(target.store, { put: () => Promise.reject(new RangeError('frozen')) })
    await expect(run(target, { value: text(size, 's'), store: stopped })).rejects.toThrow('frozen')
    const woken = () => run(target, { value: 'unused', attempt: 2 })
    // also one of the same length
    for (const later of ['of a later job', text(Math.max(size, 1), 't')]) {
      await put(later)
      await expect(woken()).rejects.toThrow(/somebody else has written it since this job began \(nothing was there\)/)
      expect(await textAt(target)).toBe(later)
    }
  })

  it('of a stale winner appears where a later job had put the same bytes', async () => {
    const stopped = layered(target.store, { put: () => Promise.reject(new RangeError('frozen')) })
    await expect(run(target, { value: 'same', store: stopped })).rejects.toThrow('frozen')
    const { etag } = await put('same')
    expect((await run(target, { value: 'unused', attempt: 2 })).etag).toBe(etag)
  })

  it('is put where the version to be replaced is gone', async () => {
    const { etag } = await put('before')
    await target.store.delete(target.bucket, [`${target.prefix}a`])
    await run(target, { value: 'now', expected: etag })
    expect(await textAt(target)).toBe('now')
  })

  it.each([5, LARGE])('that is aborted or breaks after %i bytes leaves nothing anywhere', async (size) => {
    const stop = new AbortController()
    async function* stopping() {
      yield text(size)
      stop.abort(new RangeError('cancelled'))
      yield text(size)
    }
    await expect(run(target, { value: stopping(), signal: stop.signal })).rejects.toThrow('cancelled')
    async function* breaking() {
      yield text(size)
      throw new RangeError('broke')
    }
    await expect(run(target, { value: breaking() })).rejects.toThrow('broke')
    expect(await textAt(target)).toBeUndefined()
    expect(await keysOf(journal, 'j')).toEqual([])
    if (name === 'file') expect(readdirSync(`/${target.prefix}`)).toEqual([])
  })

  it.each<[FaultKind, number]>(
    (['throttle', 'error', 'reset', 'lost-reply'] as const).flatMap((kind) =>
      SIZES.map((size) => [kind, size] as [FaultKind, number]),
    ),
  )('whose put has a %s is published once, at %i bytes', async (kind, size) => {
    let faults = 0
    const store = withFaults(target.store, {
      when: ({ operation }) => (operation === 'put' && faults++ === 0 ? kind : 'none'),
    })
    const object = await run(target, { value: text(size), store })
    expect(store.faults[kind]).toBe(1)
    expect(await textAt(target)).toBe(text(size))
    expect(object.etag).toBe((await target.store.head(target.bucket, `${target.prefix}a`)).etag)
  })

  it('whose store keeps failing fails, and keeps its commit for the next attempt', async () => {
    const store = withFaults(target.store, { faults: { error: 1 } })
    await expect(run(target, { value: 'a', store })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await textAt(target)).toBeUndefined()
    await run(target, { value: 'b', attempt: 2 })
    expect(await textAt(target)).toBe('a')
  })

  it('is never seen in part by who reads all the while', async () => {
    let writing = true
    const seen = new Set<string | undefined>()
    const readInTime = async () => {
      try {
        const { body } = await target.store.get(target.bucket, `${target.prefix}a`)
        return Buffer.from(await collectBytes(body)).toString()
      } catch (error) {
        // a reader overtaken by a writer is told so
        expect(['NOT_FOUND', 'OBJECT_CHANGED']).toContain((error as StorageError).code)
        return undefined
      }
    }
    const reader = async () => {
      while (writing) {
        seen.add(await readInTime())
        await new Promise(setImmediate)
      }
    }
    const reading = reader()
    const { etag } = await run(target, { value: text(LARGE, 'a') })
    await run(target, { value: text(LARGE, 'b'), expected: etag, journalStore: await otherJournal() })
    writing = false
    await reading
    for (const each of seen) expect([undefined, text(LARGE, 'a'), text(LARGE, 'b')]).toContain(each)
  })
})

describe('a store that takes short streams only under a condition', () => {
  it('gets a longer one after a look at its end', async () => {
    const target = await (TARGETS.memory as () => Promise<Target>)()
    const conditions: unknown[] = []
    const store = {
      ...layered(target.store, {
        put: (bucket, key, body, options) => {
          conditions.push(options?.ifAbsent)
          return target.store.put(bucket, key, body, options)
        },
      }),
      capabilities: { ...target.store.capabilities, conditionalStreamBytes: LARGE - 1 },
    }
    await run(target, { value: text(LARGE), store })
    expect(conditions).toEqual([undefined])
    await target.store.put(target.bucket, `${target.prefix}a`, Buffer.from('of another'))
    const stale = run(target, { value: text(LARGE, 'b'), store, journalStore: await otherJournal() })
    await expect(stale).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
    expect(await textAt(target)).toBe('of another')
  })
})

async function otherJournal(): Promise<StorageBackend> {
  const store = new MemoryBackend()
  await store.createBucket('j')
  return store
}

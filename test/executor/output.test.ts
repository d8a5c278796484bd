/** A job's outputs on the driver's side: what is decided before it runs, and how it is concluded. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Partition, Plan } from '../../partitioner/plan.ts'
import { groupsOf } from '../../reducers/groups.ts'
import { parseOutput } from '../../src/config/output-options.ts'
import { collectBytes } from '../../src/core/bytes.ts'
import { type CloudObject, cloudObject } from '../../src/core/cloud-object.ts'
import { type Conclusion, JobOutput } from '../../src/executor/output.ts'
import { type OutputSubject, outputInputs, planOutput, replaceable } from '../../src/executor/output-plan.ts'
import type { Manifest } from '../../src/job/manifest.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { FileBackend } from '../../src/storage/file.ts'
import { layered } from '../../src/storage/layer.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { withFaults } from '../../src/storage/with-faults.ts'

const folder = mkdtempSync(join(tmpdir(), 'quern-outputs-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let store: MemoryBackend
beforeEach(async () => {
  store = new MemoryBackend()
  await store.createBucket('b')
})

const TO = 'memory://b/out'

/** Objects of these sizes, in partitions of 10 bytes. */
function subjectOf(
  sizes: Readonly<Record<string, number>>,
  kind: 'map' | 'reduce' = 'map',
  byKey = false,
): OutputSubject {
  const partitions: Partition[] = Object.entries(sizes).flatMap(([key, size]) => {
    const object = cloudObject({ backend: 'memory', bucket: 'in', key, size, etag: `"${key}"` })
    const count = Math.ceil(size / 10)
    return Array.from({ length: count }, (_, index) => {
      return { object, index, count, range: { start: index * 10, end: Math.min(size, index * 10 + 10) } }
    })
  })
  const plan = { partitions } as unknown as Plan
  const groups = kind === 'reduce' ? groupsOf(plan.partitions, plan.partitions.length, byKey) : undefined
  return { kind, plan, groups, count: groups?.length ?? plan.partitions.length }
}

function prepare(option: unknown, subject: OutputSubject, target: StorageBackend = store) {
  const stores = {
    resolve: async () => target,
    reach: 'process' as const,
    isConditional: async () => target.capabilities.conditionalPut,
  }
  return planOutput(parseOutput(option, 'output'), subject, stores)
}

async function put(key: string, text = key): Promise<CloudObject> {
  const { size, etag } = await store.put('b', key, Buffer.from(text), { contentType: 'text/plain' })
  return cloudObject({ backend: 'memory', bucket: 'b', key, size, etag, contentType: 'text/plain' })
}

async function keys(): Promise<string[]> {
  const all: string[] = []
  for await (const page of store.list('b')) all.push(...page.map(({ key }) => key))
  return all
}

async function manifest(): Promise<Manifest> {
  return JSON.parse(Buffer.from(await collectBytes((await store.get('b', 'out/_quern/manifest.json')).body)).toString())
}

function conclusion(
  outputs: readonly (CloudObject | undefined)[],
  subject: OutputSubject,
  job = 'x-0-M000',
): Conclusion {
  return {
    job,
    outputs: () => outputs,
    inputsOf: (call) => outputInputs(subject, call),
    journal: { backend: store, bucket: 'b', name: job, series: 'M000' },
  }
}

/** Runs a job whose calls all publish, as far as this side sees it. */
async function runJob(option: unknown, subject: OutputSubject, job: string): Promise<JobOutput> {
  const output = new JobOutput(await prepare(option, subject))
  const published = await Promise.all(output.plan.calls.map(({ key }) => put(key, job)))
  await output.conclude(conclusion(published, subject, job), async () => store)
  return output
}

describe('what a job decides about its outputs', () => {
  it('keys under the prefix, with what is expected there', async () => {
    const plan = await prepare(TO, subjectOf({ a: 20, c: 3 }))
    expect(plan).toEqual({
      version: 1,
      head: {
        backend: 'memory',
        bucket: 'b',
        format: 'auto',
        contentType: undefined,
        compress: undefined,
        conditional: true,
      },
      prefix: 'out/',
      manifest: { key: 'out/_quern/manifest.json', expect: null },
      calls: [
        { key: 'out/a/part-00000', expect: null },
        { key: 'out/a/part-00001', expect: null },
        { key: 'out/c', expect: null },
      ],
      previous: [],
      ifExists: 'refuse',
      naming: { name: undefined },
    })
    expect(JSON.parse(JSON.stringify(plan))).toEqual(JSON.parse(JSON.stringify(plan)))
  })

  it.each([
    [3, 'out/o1'],
    [40, 'out/o7'],
    [3, 'out/_quern/manifest.json'],
  ])('is refused where one of %i outputs is there: %s', async (count, key) => {
    const subject = subjectOf(Object.fromEntries(Array.from({ length: count }, (_, i) => [`o${i}`, 1])))
    await put('out/unrelated')
    await prepare(TO, subject)
    const { etag } = await put(key)
    await expect(prepare(TO, subject)).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      message: `output memory://b/${key}: the output is there already; give output.ifExists: 'replace', or another output.to`,
    })
    const plan = await prepare({ to: TO, ifExists: 'replace' }, subject)
    const expected = [...plan.calls, plan.manifest].filter(({ expect: version }) => version !== null)
    expect(expected).toEqual([{ key, expect: etag }])
  })

  it('is refused where an output is an input', async () => {
    const subject = subjectOf({ 'out/a': 5 })
    await expect(prepare('memory://in/', subject)).rejects.toThrow(
      'output: memory://in/out/a is an input of the job; expected another output.to or output.name',
    )
    await store.createBucket('in')
    expect((await prepare('memory://in/x', subject)).calls).toEqual([{ key: 'x/out/a', expect: null }])
  })

  it('is refused where nobody can write, workers cannot see, or the bucket is missing', async () => {
    const readOnly = { ...layered(store, {}), capabilities: { ...store.capabilities, writable: false } }
    await expect(prepare(TO, subjectOf({ a: 1 }), readOnly)).rejects.toMatchObject({ code: 'CONFIG' })
    const stores = { resolve: async () => store, reach: 'machine' as const, isConditional: async () => true }
    const far = planOutput(parseOutput(TO, 'output'), subjectOf({ a: 1 }), stores)
    await expect(far).rejects.toThrow(/seen by this process only/)
    await expect(prepare('s3://none/x', subjectOf({ a: 1 }))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('is found wanting before anything runs where a file system cannot hold the names', async () => {
    const files = new FileBackend()
    await expect(prepare(`${folder}/x`, subjectOf({ 'a/b': 1, a: 1 }), files)).rejects.toThrow(/a file and a folder/)
    const picky = { ...layered(store, {}), capabilities: { ...store.capabilities, refusedKeys: /\n/ } }
    await expect(prepare(TO, subjectOf({ 'a\nb': 1 }), picky)).rejects.toThrow('memory cannot hold the key "out/a\\nb"')
    const plan = await prepare(`${folder}/x`, subjectOf({ a: 30 }), files)
    expect(plan.calls.at(-1)?.key).toBe(`${folder.slice(1)}/x/a/part-00002`)
    expect(plan.head.conditional).toBe(false)
  })

  it.each<[unknown, RegExp]>([
    [5, /^output: expected a prefix such as .* got 5/],
    [{}, /^output\.to: expected a prefix, got nothing/],
    ['s3://b/*.txt', /^output: expected a prefix to write under, got the pattern/],
    ['https://h/p', /^output: expected a store that can be written/],
    [{ to: 'x', ifexists: 'replace' }, /output\.ifexists: unknown option, did you mean 'ifExists'/],
    [{ to: 'x', compress: 'zip' }, /output\.compress: expected one of 'gzip', got "zip"/],
  ])('refuses the option %j', (option, message) => {
    expect(() => parseOutput(option, 'output')).toThrow(message)
  })
})

describe('a manifest', () => {
  it('names every output with the bytes it came from, and is the only thing left of the job beside them', async () => {
    const subject = subjectOf({ a: 20, c: 3 })
    await put('quern.jobs/x-0-M000/attempts/M000/00000/1-abc')
    await runJob(TO, subject, 'x-0-M000')
    const { createdAt, ...rest } = await manifest()
    expect(Date.parse(createdAt)).toBeGreaterThan(Date.now() - 60_000)
    const of = async (key: string, url: string, start: number, end: number) => ({
      key,
      sizeBytes: 8,
      etag: (await store.head('b', key)).etag,
      contentType: 'text/plain',
      inputs: [{ url, etag: `"${url.slice(-1)}"`, range: { start, end } }],
    })
    expect(rest).toEqual({
      version: 1,
      job: 'x-0-M000',
      to: 'memory://b/out/',
      outputs: [
        await of('out/a/part-00000', 'memory://in/a', 0, 10),
        await of('out/a/part-00001', 'memory://in/a', 10, 20),
        await of('out/c', 'memory://in/c', 0, 3),
      ],
      missing: [],
    })
    expect(await keys()).toEqual(['out/_quern/manifest.json', 'out/a/part-00000', 'out/a/part-00001', 'out/c'])
  })

  it('of reducers puts neighbouring partitions together', async () => {
    const all = subjectOf({ a: 25, c: 3 }, 'reduce')
    expect(outputInputs(all, 0)).toEqual([
      { url: 'memory://in/a', etag: '"a"', range: { start: 0, end: 25 } },
      { url: 'memory://in/c', etag: '"c"', range: { start: 0, end: 3 } },
    ])
    const output = await runJob(TO, subjectOf({ a: 25, c: 3 }, 'reduce', true), 'x-0-R000')
    expect(output.plan.calls.map(({ key }) => key)).toEqual(['out/a', 'out/c'])
    expect((await manifest()).outputs[0]?.inputs).toEqual([
      { url: 'memory://in/a', etag: '"a"', range: { start: 0, end: 25 } },
    ])
  })

  it('of no outputs, and of failures that were tolerated', async () => {
    await runJob('memory://b/none', subjectOf({}), 'x-0-M000')
    const subject = subjectOf({ a: 5, c: 3 })
    const output = new JobOutput(await prepare(TO, subject))
    await output.conclude(conclusion([undefined, await put('out/c')], subject), async () => store)
    const { outputs, missing } = await manifest()
    expect(outputs.map(({ key }) => key)).toEqual(['out/c'])
    expect(missing).toEqual([{ url: 'memory://in/a', etag: '"a"', range: { start: 0, end: 5 } }])
  })

  it('is put as JSON, without a condition where the store honours none', async () => {
    const subject = subjectOf({ a: 5 })
    const { head, ...plan } = await prepare(TO, subject)
    const asked = vi.spyOn(store, 'put')
    await new JobOutput({ ...plan, head: { ...head, conditional: false } }).conclude(
      conclusion([undefined], subject),
      async () => store,
    )
    expect(asked.mock.calls.map(([, , , options]) => options)).toEqual([{ contentType: 'application/json' }])
  })

  it('longer than what is held in memory is streamed, and the same', async () => {
    const subject = subjectOf(
      Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`${'長'.repeat(300)}${i}`, 1])),
    )
    const output = new JobOutput(await prepare(TO, subject))
    const object = await put('out/one')
    const published = output.plan.calls.map(({ key }) => ({ ...object, key }))
    let streamed = false
    const watched = layered(store, {
      put: (bucket, key, body, options) => {
        streamed = !(body instanceof Uint8Array)
        return store.put(bucket, key, body, options)
      },
    })
    await output.conclude(conclusion(published, subject), async () => watched)
    expect(streamed).toBe(true)
    const keysOf = (entries: readonly { readonly key: string }[]) => entries.map(({ key }) => key).join('\n')
    expect(keysOf((await manifest()).outputs) === keysOf(output.plan.calls)).toBe(true)
  })
})

describe('a job that replaces', () => {
  const replace = { to: TO, ifExists: 'replace' }

  it('removes what the manifest before named and its own does not, once its own is there', async () => {
    await runJob(TO, subjectOf({ a: 20, c: 3, d: 3 }), 'x-0-M000')
    await put('out/unrelated')
    const foreign = await put('out/d', 'changed by somebody since')
    const subject = subjectOf({ a: 5, c: 3 })
    const output = new JobOutput(await prepare(replace, subject))
    const published = await Promise.all(output.plan.calls.map(({ key }) => put(key, 'new')))
    const order: string[] = []
    const watched = layered(store, {
      put: (bucket, key, body, options) => {
        order.push(body instanceof Uint8Array ? `put ${key}` : `stream ${key}`)
        return store.put(bucket, key, body, options)
      },
      delete: (bucket, gone, options) => {
        order.push(...gone.map((key) => `delete ${key}`))
        return store.delete(bucket, gone, options)
      },
    })
    await output.conclude(conclusion(published, subject, 'x-0-M001'), async () => watched)
    expect(order[0]).toBe('put out/_quern/manifest.json')
    expect(order.slice(1).sort()).toEqual(['delete out/a/part-00000', 'delete out/a/part-00001'])
    expect(await keys()).toEqual(['out/_quern/manifest.json', 'out/a', 'out/c', 'out/d', 'out/unrelated'])
    expect((await store.head('b', 'out/d')).etag).toBe(foreign.etag)
    expect((await manifest()).job).toBe('x-0-M001')
  })

  it('keeps an output that is the very version it was before', async () => {
    await runJob(TO, subjectOf({ a: 5, c: 3 }), 'x-0-M000')
    const subject = subjectOf({ a: 5 })
    const output = new JobOutput(await prepare(replace, subject))
    // as a store whose etags are hashes gives it when the bytes are the same
    const { etag, size } = await store.head('b', 'out/a')
    const same = cloudObject({ backend: 'memory', bucket: 'b', key: 'out/a', size, etag })
    await output.conclude(conclusion([same], subject, 'x-0-M001'), async () => store)
    expect(await keys()).toEqual(['out/_quern/manifest.json', 'out/a'])
  })

  it('concludes again what was cut off after the manifest, and writes it once', async () => {
    await runJob(TO, subjectOf({ a: 20 }), 'x-0-M000')
    const subject = subjectOf({ a: 5 })
    const plan = await prepare(replace, subject)
    const published = [await put('out/a', 'new')]
    const cut = layered(store, { delete: () => Promise.reject(new RangeError('cut off')) })
    const end = conclusion(published, subject, 'x-0-M001')
    await expect(new JobOutput(plan).conclude(end, async () => cut)).rejects.toThrow('cut off')
    const { etag } = await store.head('b', 'out/_quern/manifest.json')
    const noPuts = layered(store, { put: () => Promise.reject(new RangeError('put again')) })
    await new JobOutput(JSON.parse(JSON.stringify(plan))).conclude(end, async () => noPuts)
    expect((await store.head('b', 'out/_quern/manifest.json')).etag).toBe(etag)
    expect(await keys()).toEqual(['out/_quern/manifest.json', 'out/a'])
  })

  it('does not put its manifest over that of a job that came between, and removes nothing then', async () => {
    await runJob(TO, subjectOf({ a: 20 }), 'x-0-M000')
    const subject = subjectOf({ c: 5 })
    const plan = await prepare(replace, subject)
    await runJob(replace, subjectOf({ a: 20 }), 'x-0-M001')
    const end = conclusion([await put('out/c')], subject, 'x-0-M002')
    const attempt = 'quern.jobs/x-0-M002/attempts/M000/00000/1-abc'
    await put(attempt)
    await expect(new JobOutput(plan).conclude(end, async () => store)).rejects.toMatchObject({
      code: 'PRECONDITION_FAILED',
    })
    expect((await manifest()).job).toBe('x-0-M001')
    expect(await keys()).toEqual(expect.arrayContaining(['out/a/part-00000', attempt]))
  })

  it('puts its manifest once, whatever becomes of the answers', async () => {
    const subject = subjectOf({ a: 5 })
    for (const kind of ['lost-reply', 'error', 'throttle'] as const) {
      const plan = await prepare(replace, subject)
      let puts = 0
      const faulty = withFaults(store, {
        when: ({ operation }) => (operation === 'put' && puts++ === 0 ? kind : 'none'),
      })
      const end = conclusion([await put('out/a', kind)], subject, `x-0-${kind}`)
      await new JobOutput(plan).conclude(end, async () => faulty)
      expect(puts).toBe(kind === 'lost-reply' ? 1 : 2)
      expect((await manifest()).job).toBe(`x-0-${kind}`)
    }
  })

  it('removes nothing outside its prefix, whatever a manifest says', async () => {
    const foreign = await put('elsewhere')
    const entry = { key: 'elsewhere', sizeBytes: 1, etag: foreign.etag, contentType: '', inputs: [] }
    await put('out/_quern/manifest.json', JSON.stringify({ version: 1, job: 'x', outputs: [entry], missing: [] }))
    await runJob(replace, subjectOf({ a: 5 }), 'x-0-M000')
    expect(await keys()).toContain('elsewhere')
  })

  it.each(['no JSON', '{}', '[]', 'null', '{"version":1,"job":"x","outputs":[{}]}'])(
    'takes a manifest that is %s for none',
    async (text) => {
      await put('out/_quern/manifest.json', text)
      const output = await runJob(replace, subjectOf({ a: 5 }), 'x-0-M000')
      expect(output.plan.previous).toEqual([])
    },
  )
})

describe('outputs of divided calls', () => {
  it('have names of their own that a resume finds again, and expect what the manifest before named', async () => {
    const subject = subjectOf({ 'a.txt': 5 })
    const first = new JobOutput(await prepare(TO, subject))
    const divide = (output: JobOutput) => [output.of(0), output.partOf(0, 3), output.partOf(0, 4)]
    expect(divide(first).map(({ key }) => key)).toEqual(['out/a.txt', 'out/a.from-3.txt', 'out/a.from-4.txt'])
    const published = await Promise.all(divide(first).map(({ key }) => put(key)))
    await first.conclude(conclusion(published, subject), async () => store)
    const again = await prepare({ to: TO, ifExists: 'replace' }, subject)
    expect(divide(new JobOutput(JSON.parse(JSON.stringify(again))))).toEqual(
      published.map(({ key, etag }) => ({ key, expect: etag })),
    )
    expect(() => first.of(1)).toThrow(RangeError)
  })

  it('do not have the name of a planned one', async () => {
    const output = new JobOutput(await prepare(TO, subjectOf({ 'a.txt': 5, 'a.from-3.txt': 5 })))
    const parts = [3, 4].map((start) => output.partOf(0, start).key)
    expect(parts).toEqual(['out/a.from-3_.txt', 'out/a.from-4.txt'])
  })
})

describe('calls whose commits were discarded', () => {
  it('may replace what they had published, others may not', async () => {
    const plan = await prepare(TO, subjectOf({ a: 5, c: 3 }))
    const [a] = [await put('out/a'), await put('out/c')]
    const again = await replaceable(plan, [0], async () => store)
    expect(again.calls).toEqual([
      { key: 'out/a', expect: a?.etag },
      { key: 'out/c', expect: null },
    ])
  })
})

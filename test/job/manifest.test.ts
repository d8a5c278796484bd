/** What a manifest says of which call, which neighbours are one input, and what is taken for a manifest. */
import { describe, expect, it } from 'vitest'
import type { Partition } from '../../partitioner/plan.ts'
import type { ByteRange } from '../../src/core/bytes.ts'
import { cloudObject } from '../../src/core/cloud-object.ts'
import { inputsOf, manifestText, type OutputInput, readManifest } from '../../src/job/manifest.ts'
import type { OutputPlan } from '../../src/job/output.ts'

const PLAN = { head: { backend: 'memory', bucket: 'b' }, prefix: 'out/' } as unknown as OutputPlan

function input(url: string, start: number, end: number, etag = '"1"'): OutputInput {
  return { url, etag, range: { start, end } }
}

function partition({ url, etag, range }: OutputInput): Partition {
  const object = cloudObject({ backend: 'memory', bucket: 'b', key: url.slice('memory://b/'.length), size: 99, etag })
  return { object, range } as unknown as Partition
}

/** What the calls have made; undefined for one whose failure is tolerated. */
function textOf(keys: readonly (string | undefined)[], contentType?: string): string {
  const at = { backend: 'memory', bucket: 'b', size: 1, etag: '"o"', contentType }
  const outputs = keys.map((key) => (key === undefined ? undefined : cloudObject({ ...at, key })))
  const calls = (call: number) => [input(`memory://b/in${call}`, 0, call)]
  return [...manifestText({ job: 'j', createdAt: new Date(0), plan: PLAN, outputs, inputsOf: calls })].join('')
}

describe('the text of a manifest', () => {
  it('says of each call what it was made from, also behind one that failed', () => {
    const { outputs, missing } = JSON.parse(textOf(['out/a', undefined, 'out/c']))
    const entry = { sizeBytes: 1, etag: '"o"', contentType: '' }
    expect(outputs).toEqual([
      { ...entry, key: 'out/a', inputs: [input('memory://b/in0', 0, 0)] },
      { ...entry, key: 'out/c', inputs: [input('memory://b/in2', 0, 2)] },
    ])
    expect(missing).toEqual([input('memory://b/in1', 0, 1)])
  })

  it('is read as what it names', () => {
    const read = readManifest(textOf(['out/a', 'out/c'], 'text/plain'))
    expect([read?.job, read?.outputs.map(({ key }) => key)]).toEqual(['j', ['out/a', 'out/c']])
  })
})

describe('what is no manifest of this version', () => {
  const valid = { version: 1, job: 'j', outputs: [{ key: 'a', etag: '"1"' }] }

  it.each<[string, unknown]>([
    ['of another version', { ...valid, version: 2 }],
    ['without its job', { ...valid, job: undefined }],
    ['without outputs', { ...valid, outputs: {} }],
    ['with an output without a key', { ...valid, outputs: [...valid.outputs, { etag: '"2"' }] }],
    ['with an output without an etag', { ...valid, outputs: [...valid.outputs, { key: 'c' }] }],
  ])('%s is not read', (_, value) => {
    expect(readManifest(JSON.stringify(valid))).toMatchObject({ job: 'j' })
    expect(readManifest(JSON.stringify(value))).toBeUndefined()
  })
})

describe('partitions that were read together', () => {
  const [A, C] = ['memory://b/a', 'memory://b/c'] as const
  const at = (url: string, { start, end }: ByteRange, etag?: string) => input(url, start, end, etag)
  const [first, second, third] = [
    { start: 0, end: 5 },
    { start: 5, end: 8 },
    { start: 8, end: 9 },
  ] as const

  it.each<[string, readonly OutputInput[], readonly OutputInput[]]>([
    ['of one object, one behind the other', [at(A, first), at(A, second), at(A, third)], [input(A, 0, 9)]],
    ['of one object, with a gap', [at(A, first), at(A, third)], [at(A, first), at(A, third)]],
    ['of two objects', [at(A, first), at(C, second)], [at(A, first), at(C, second)]],
    ['of two versions', [at(A, first), at(A, second, '"2"')], [at(A, first), at(A, second, '"2"')]],
  ])('%s', (_, read, inputs) => {
    expect(inputsOf(read.map(partition))).toEqual(inputs)
  })
})

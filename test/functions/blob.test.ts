/** Blobs: what they hold, and what refuses them. That closures run as blobs is in scenarios/closures.test.ts. */
import { describe, expect, it } from 'vitest'
import { loadBlob, makeBlob } from '../../src/functions/blob.ts'
import { bundleFunction } from '../../src/functions/bundle.ts'
import { captureFunction } from '../../src/functions/capture.ts'
import { scale } from './closures/values.ts'

const text = { kind: 'text', text: '(x) => x + 1', name: 'f' } as const
const blob = makeBlob({ fn: text, code: '' })

/** The same blob with something else in its head. */
function headed(change: object): Uint8Array {
  const bytes = Buffer.from(blob.bytes)
  const end = 8 + bytes.readUInt32LE(4)
  const head = Buffer.from(JSON.stringify({ ...JSON.parse(bytes.toString('utf8', 8, end)), ...change }))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(head.byteLength)
  return Buffer.concat([bytes.subarray(0, 4), length, head, bytes.subarray(end)])
}

describe('function blobs', () => {
  it('the same function is the same blob, loaded once', async () => {
    expect(makeBlob({ fn: { ...text }, code: '' })).toEqual(blob)
    expect(blob.hash).toMatch(/^[0-9a-f]{64}$/)
    const loaded = (await loadBlob(blob.bytes)) as (x: number) => number
    expect(loaded(1)).toBe(2)
    expect(await loadBlob(Uint8Array.from(blob.bytes))).toBe(loaded)
  })

  it.each([
    ['of another Node', headed({ node: 3 }), /shipped by Node 3, this worker runs Node \d+: use the same major/],
    ['of another codec', headed({ codec: 99 }), /in format 99, this worker reads \d+: install the same quern/],
    ['whose hash is another', headed({ hash: '00' }), /damaged/],
    ['cut short', blob.bytes.subarray(0, -1), /damaged/],
    ['cut in its head', blob.bytes.subarray(0, 20), /no function blob/],
    ['that is empty', new Uint8Array(0), /no function blob/],
    ['that is something else', Buffer.from('QFN2abcdefgh'), /no function blob/],
    ['whose head is no JSON', Buffer.from('QFN1\u0001\u0000\u0000\u0000{'), /head of a function blob/],
  ])('one %s is refused', async (_name, bytes, message) => {
    await expect(loadBlob(bytes)).rejects.toMatchObject({
      code: 'SERIALIZATION',
      message: expect.stringMatching(message),
    })
  })

  it('modules are bundled; what is excluded, and every package not included, is left to the worker', async () => {
    const fn = captureFunction(scale, 'f')
    expect(fn).toMatchObject({ kind: 'module' })
    const own = await bundleFunction(fn)
    expect(((await loadBlob(own.bytes)) as (x: number) => number)(2)).toBe(6)
    const without = await bundleFunction(fn, { excludeModules: ['closures/values.ts'] })
    await expect(loadBlob(without.bytes)).rejects.toThrow(/values\.ts was not bundled/)
    const nothing = await bundleFunction(fn, { includeModules: null })
    expect(nothing.hash).toBe(without.hash)
  })

  it('a package goes with the function when it is included', async () => {
    const fn = { kind: 'closure', name: 'f', units: [unit('yaml')] } as const
    const outside = await bundleFunction(fn)
    const inside = await bundleFunction(fn, { includeModules: ['yaml'] })
    const excluded = await bundleFunction(fn, { includeModules: ['yaml'], excludeModules: ['yaml'] })
    expect(inside.bytes.byteLength).toBeGreaterThan(outside.bytes.byteLength + 50_000)
    expect(excluded.hash).toBe(outside.hash)
    for (const { bytes } of [inside, outside]) {
      expect(((await loadBlob(bytes)) as () => unknown)()).toEqual({ a: 1 })
    }
  })

  it('a module that is not there is refused when it is bundled', async () => {
    const lost = { kind: 'module', url: new URL('./closures/lost.ts', import.meta.url).href, export: 'x' } as const
    await expect(bundleFunction(lost)).rejects.toMatchObject({ code: 'SERIALIZATION' })
  })
})

function unit(specifier: string) {
  const imports = { yaml: { specifier, as: 'namespace' } } as const
  const place = { module: import.meta.url, file: import.meta.url, line: 0, column: 0 }
  const text = "() => yaml.parse('a: 1')"
  return {
    kind: 'code',
    form: 'function',
    name: 'f',
    text,
    ...place,
    vars: [],
    units: {},
    imports,
    globals: {},
  } as const
}

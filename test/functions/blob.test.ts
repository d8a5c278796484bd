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
    expect(without.bytes.byteLength).toBeLessThan(own.bytes.byteLength / 2)
    expect(((await loadBlob(without.bytes)) as (x: number) => number)(2)).toBe(6)
    const nothing = await bundleFunction(fn, { includeModules: null })
    expect(nothing.hash).toBe(without.hash)
  })

  it('a module that is excluded is left out of what imports it too', async () => {
    const { url } = import.meta
    const fn = { kind: 'module', url: new URL('./modules/placed.ts', url).href, export: 'scaledPlace' } as const
    const whole = await bundleFunction(fn)
    const without = await bundleFunction(fn, { excludeModules: ['./closures/values.ts'] })
    expect(without.bytes.byteLength).toBeLessThan(whole.bytes.byteLength)
    for (const { bytes } of [whole, without]) {
      expect(((await loadBlob(bytes)) as () => unknown)()).toMatch(/^6 [\s\S]*quern-[0-9a-f]+\.cjs/)
    }
  })

  it('what was left to a worker that does not have it is named', async () => {
    const blob = makeBlob({ fn: { kind: 'module', url: 'file:///nowhere/lost.mjs', export: 'f' }, code: '' })
    await expect(loadBlob(blob.bytes)).rejects.toMatchObject({
      code: 'SERIALIZATION',
      message: expect.stringContaining('file:///nowhere/lost.mjs'),
    })
  })

  it('each load has its own copy of what was captured, but modules once', async () => {
    const seen = new Map<string, number>()
    const shipped = captureFunction((key: string) => seen.set(key, scale(1)).size, 'f')
    const { bytes } = await bundleFunction(shipped)
    const [first, second] = (await Promise.all([loadBlob(bytes), loadBlob(bytes)])) as ((key: string) => number)[]
    expect([first?.('a'), first?.('b'), second?.('c')]).toEqual([1, 2, 1])
  })

  it.each(['yaaml', './lost.ts'])('including %s, which is not there, is refused', async (name) => {
    await expect(bundleFunction(text, { includeModules: ['yaml', name] })).rejects.toMatchObject({
      code: 'VALIDATION',
      message: `includeModules[1]: expected a package that is installed or a file that is there, got '${name}'`,
    })
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

import { Readable } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { OutputFormat } from '../../src/job/output.ts'
import { outputBytes } from '../../src/worker/output-bytes.ts'

async function written(value: unknown, format: OutputFormat = 'auto', more: object = {}, pieceBytes = 1024) {
  const { contentType, pieces } = await outputBytes(value, { format, ...more }, pieceBytes)
  const list: Uint8Array[] = []
  for await (const piece of pieces) list.push(piece)
  return { contentType, bytes: Buffer.concat(list), sizes: list.map(({ length }) => length) }
}

function* chunks(...values: unknown[]) {
  yield* values
}

async function* later(...values: unknown[]) {
  yield* values
}

const TEXT = 'text/plain; charset=utf-8'
const OCTETS = 'application/octet-stream'

describe('what a function gives, as an output', () => {
  it.each<[string, () => unknown, OutputFormat, string, string]>([
    ['text', () => 'ä\n', 'auto', TEXT, 'ä\n'],
    ['no text', () => '', 'auto', TEXT, ''],
    ['bytes', () => Buffer.from('ab'), 'auto', OCTETS, 'ab'],
    ['an ArrayBuffer', () => new Uint8Array([97]).buffer, 'auto', OCTETS, 'a'],
    ['a generator of text', () => chunks('a', '', 'b'), 'auto', TEXT, 'ab'],
    ['an async generator of bytes', () => later(Buffer.from('a'), Buffer.from('b')), 'auto', OCTETS, 'ab'],
    ['a stream of text and bytes', () => later('a', Buffer.from('b'), 'c'), 'auto', TEXT, 'abc'],
    ['an empty stream', () => later(), 'auto', OCTETS, ''],
    ['a Readable', () => Readable.from([Buffer.from('xy')]), 'auto', OCTETS, 'xy'],
    ['a web stream', () => new Blob(['xy']).stream(), 'auto', OCTETS, 'xy'],
    ['text cut within a character', () => chunks('\u{1f600}'[0], '\u{1f600}'[1], '!'), 'auto', TEXT, '\u{1f600}!'],
    ['half a character before bytes', () => chunks('\ud83d', Buffer.from('!')), 'auto', TEXT, '\ufffd!'],
    ['half a character at the end', () => chunks('a\ud83d'), 'auto', TEXT, 'a\ufffd'],
    ['an object', () => ({ a: 1 }), 'auto', 'application/json', '{"a":1}\n'],
    ['null', () => null, 'auto', 'application/json', 'null\n'],
    ['a Map', () => new Map([['a', 1n]]), 'auto', 'application/json', '{"a":"1"}\n'],
    ['a Set', () => new Set([1]), 'auto', 'application/json', '[1]\n'],
    ['a list', () => [{ a: 1 }, 'x', null], 'auto', 'application/x-ndjson', '{"a":1}\n"x"\nnull\n'],
    ['no entries', () => [], 'auto', 'application/x-ndjson', ''],
    ['a list as JSON', () => [1, 2], 'json', 'application/json', '[1,2]\n'],
    ['text as JSON', () => 'a', 'json', 'application/json', '"a"\n'],
    ['a stream as JSON', () => later(1, 2), 'json', 'application/json', '[1,2]\n'],
    ['a stream as NDJSON', () => later({ a: 1 }, 'b'), 'ndjson', 'application/x-ndjson', '{"a":1}\n"b"\n'],
    ['a Set as NDJSON', () => new Set([1, 2]), 'ndjson', 'application/x-ndjson', '1\n2\n'],
  ])('%s', async (_, make, format, contentType, text) => {
    const output = await written(make(), format)
    expect({ contentType: output.contentType, text: output.bytes.toString() }).toEqual({ contentType, text })
  })

  it.each<[string, unknown, OutputFormat, RegExp]>([
    ['nothing', undefined, 'auto', /got undefined/],
    ['a function', () => 1, 'auto', /got function/],
    ['nothing as JSON', undefined, 'json', /got undefined/],
    ['numbers in a stream', later(1), 'auto', /an output stream gave 1: .*'ndjson'/],
    ['a later chunk', chunks('a', { b: 1 }), 'auto', /gave an object/],
    ['an object as NDJSON', { a: 1 }, 'ndjson', /list or a stream of values, got an object/],
    ['text as NDJSON', 'abc', 'ndjson', /list or a stream of values/],
  ])('refuses %s', async (_, value, format, message) => {
    const refusal = { code: 'SERIALIZATION', message: expect.stringMatching(message) }
    await expect(written(value, format)).rejects.toMatchObject(refusal)
  })

  it('comes in pieces of one size, whatever the chunks, also where chunks are written again', async () => {
    const lists = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 10 })
    await fc.assert(
      fc.asyncProperty(lists, fc.integer({ min: 1, max: 9 }), async (list, size) => {
        const reused = new Uint8Array(20)
        const stream = (function* () {
          for (const chunk of list) {
            reused.set(chunk)
            yield reused.subarray(0, chunk.length)
          }
        })()
        const output = await written(stream, 'auto', {}, size)
        expect(output.bytes.equals(Buffer.concat(list))).toBe(true)
        expect(output.sizes.slice(0, -1).every((length) => length === size)).toBe(true)
        expect(output.sizes.every((length) => length > 0)).toBe(true)
      }),
    )
  })

  it('is compressed where asked, equally each time', async () => {
    const text = 'line\n'.repeat(10_000)
    const [one, two] = [
      await written(later(text), 'auto', { compress: 'gzip' }),
      await written(text, 'auto', { compress: 'gzip' }),
    ]
    expect(one.contentType).toBe('application/gzip')
    expect(gunzipSync(one.bytes).toString()).toBe(text)
    expect(two.bytes.equals(one.bytes)).toBe(true)
    expect((await written('a', 'auto', { compress: 'gzip', contentType: 'x/y' })).contentType).toBe('x/y')
  })

  it.each([{}, { compress: 'gzip' }])('breaks with the error of the stream, and ends it (%o)', async (more) => {
    let ended = false
    async function* breaking() {
      try {
        yield 'a'
        throw new RangeError('the source broke')
      } finally {
        ended = true
      }
    }
    await expect(written(breaking(), 'auto', more)).rejects.toThrow('the source broke')
    expect(ended).toBe(true)
  })

  it('ends a stream that nobody reads to its end', async () => {
    let ended = false
    async function* endless() {
      try {
        for (;;) yield 'abc'
      } finally {
        ended = true
      }
    }
    const { pieces } = await outputBytes(endless(), { format: 'auto' }, 4)
    for await (const piece of pieces) if (piece.length > 0) break
    expect(ended).toBe(true)
  })
})

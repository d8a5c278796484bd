import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import wabt from 'wabt'
import { ASSEMBLED, ByteScan, SCAN_LIMIT } from '../../partitioner/byte-scan.ts'

const scan = ByteScan.ready as ByteScan

function scanned(block: Uint8Array, byte: number) {
  const count = scan.scan(block, byte)
  const starts = new Uint32Array(count + 1)
  const ends = new Uint32Array(count)
  scan.copyInto(starts, ends, count)
  return { starts: [...starts], ends: [...ends] }
}

function searched(block: Uint8Array, byte: number) {
  const ends = [...block.keys()].filter((at) => block[at] === byte)
  return { starts: [0, ...ends.map((at) => at + 1)], ends }
}

describe('ByteScan', () => {
  it('is what byte-scan.wat assembles to', async () => {
    const source = readFileSync(new URL('../../partitioner/byte-scan.wat', import.meta.url), 'utf8')
    const { buffer } = (await wabt()).parseWat('byte-scan.wat', source, { simd: true }).toBinary({})
    expect(Buffer.from(buffer).toString('base64')).toBe(ASSEMBLED)
  })

  it('finds every occurrence and nothing behind the block, whatever was scanned before', () => {
    const blocks = fc.uint8Array({ maxLength: 100, max: 3 })
    fc.assert(
      fc.property(blocks, blocks, fc.integer({ min: 0, max: 3 }), (before, block, byte) => {
        scan.scan(before, byte)
        expect(scanned(block, byte)).toEqual(searched(block, byte))
      }),
      { numRuns: 2_000 },
    )
  })

  it('takes bytes as unsigned', () => {
    expect(scanned(Uint8Array.of(255, 128, 0, 255), 255).ends).toEqual([0, 3])
    expect(scanned(Uint8Array.of(255, 128, 0, 128), 128).ends).toEqual([1, 3])
  })

  it('holds a block of its limit in which every byte is a hit', () => {
    const block = new Uint8Array(SCAN_LIMIT).fill(10)
    expect(scan.scan(block, 10)).toBe(SCAN_LIMIT)
    expect(scanned(block, 10).starts.at(-1)).toBe(SCAN_LIMIT)
    expect(scanned(block, 10).ends[0]).toBe(0)
  })
})

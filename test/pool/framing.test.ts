import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeFrame, FrameDecoder, MAX_PAYLOAD_BYTES } from '../../src/pool/framing.ts'

interface Frame {
  readonly type: number
  readonly id: number
  readonly payload: Uint8Array
}

const frames = fc.array(
  fc.record({
    type: fc.nat(255),
    id: fc.nat(2 ** 32 - 1),
    payload: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(new Uint8Array(5_000).fill(7))),
  }),
  { maxLength: 12 },
)

describe('frames', () => {
  it('come out as they went in, however the stream is cut', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 4_200 }), { minLength: 1 }), (sent, cuts) => {
        const stream = Buffer.concat(sent.flatMap(({ type, id, payload }) => encodeFrame(type, id, payload)))
        expect(decode(stream, cuts).map(asText)).toEqual(sent.map(asText))
      }),
    )
  })

  it('are copies: a read buffer that is written again changes nothing', () => {
    const received: Uint8Array[] = []
    const decoder = new FrameDecoder((_type, _id, payload) => received.push(payload))
    const chunk = Buffer.concat(encodeFrame(1, 1, Buffer.from('kept')))
    decoder.push(chunk)
    chunk.fill(0)
    expect(received.map(String)).toEqual(['kept'])
  })

  it('longer than the limit are refused by the receiver before memory is taken', () => {
    const decoder = new FrameDecoder(() => undefined)
    const head = Buffer.alloc(9)
    head.writeUInt32LE(MAX_PAYLOAD_BYTES + 1)
    expect(() => decoder.push(head)).toThrow(/damaged worker channel: a frame of 1073741825 bytes/)
  })

  it('longer than the limit are refused by the sender', () => {
    const payload = { byteLength: MAX_PAYLOAD_BYTES + 1 } as Uint8Array
    expect(() => encodeFrame(1, 1, payload)).toThrow(/longer than the 1073741824/)
  })

  it('do not copy large payloads when they are sent', () => {
    const payload = new Uint8Array(100_000)
    expect(encodeFrame(1, 1, payload)[1]).toBe(payload)
  })

  it.each([
    { bytes: 0, incomplete: false },
    { bytes: 4, incomplete: true },
    { bytes: 10, incomplete: true },
    { bytes: 13, incomplete: false },
  ])('tell a stream that ended inside one: $bytes of 13 bytes', ({ bytes, incomplete }) => {
    const decoder = new FrameDecoder(() => undefined)
    decoder.push(Buffer.concat(encodeFrame(1, 1, Buffer.from('four'))).subarray(0, bytes))
    expect(decoder.incomplete).toBe(incomplete)
  })
})

function decode(stream: Uint8Array, cuts: readonly number[]): Frame[] {
  const received: Frame[] = []
  const decoder = new FrameDecoder((type, id, payload) => received.push({ type, id, payload }))
  for (let at = 0, turn = 0; at < stream.byteLength; turn++) {
    const end = at + (cuts[turn % cuts.length] as number)
    decoder.push(stream.subarray(at, end))
    at = end
  }
  return received
}

function asText({ type, id, payload }: Frame): string {
  return `${type} ${id} ${Buffer.from(payload).toString('hex')}`
}

import { MessageChannel } from 'node:worker_threads'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRing, MAX_RING_PAYLOAD, RingReader, RingWriter } from '../../src/pool/ring.ts'
import { ThreadChannel } from '../../src/pool/thread-channel.ts'

const lengths = fc.array(fc.oneof(fc.nat(200), fc.nat(MAX_RING_PAYLOAD + 2)), { maxLength: 40 })

describe('a ring', () => {
  it('gives every record once, whole and in order, however writing and reading alternate', () => {
    fc.assert(
      fc.property(fc.array(lengths, { maxLength: 12 }), (bursts) => {
        const memory = createRing()
        const [writer, reader] = [new RingWriter(memory), new RingReader(memory)]
        const [written, read]: [string[], string[]] = [[], []]
        let id = 0
        for (const burst of bursts) {
          for (const length of burst) {
            id += 1
            const payload = new Uint8Array(length).fill(id)
            if (writer.write(id % 256, id, payload))
              written.push(`${id % 256} ${id} ${Buffer.from(payload).toString('hex')}`)
          }
          reader.readTo(reader.written, (type, at, payload) =>
            read.push(`${type} ${at} ${Buffer.from(payload).toString('hex')}`),
          )
        }
        expect(read).toEqual(written)
      }),
      { numRuns: 50 },
    )
  })

  it('takes nothing that does not fit, and takes it once there is room', () => {
    const memory = createRing()
    const [writer, reader] = [new RingWriter(memory), new RingReader(memory)]
    const payload = new Uint8Array(MAX_RING_PAYLOAD)
    let count = 0
    while (writer.write(1, count, payload)) count += 1
    expect(count).toBeGreaterThan(4)
    expect(writer.write(1, 0, new Uint8Array(MAX_RING_PAYLOAD + 1))).toBe(false)
    const ids: number[] = []
    reader.readTo(reader.written, (_type, id) => ids.push(id))
    expect(ids).toEqual(Array.from({ length: count }, (_, i) => i))
    expect(writer.write(1, 9, payload)).toBe(true)
  })

  it('gives copies: what is written later changes nothing that was read', () => {
    const memory = createRing()
    const [writer, reader] = [new RingWriter(memory), new RingReader(memory)]
    const read: Uint8Array[] = []
    for (let round = 0; round < 40; round++) {
      writer.write(1, round, new Uint8Array(10_000).fill(round))
      reader.readTo(reader.written, (_type, _id, payload) => read.push(payload))
    }
    expect(read.map((payload) => new Set(payload))).toEqual(Array.from({ length: 40 }, (_, i) => new Set([i])))
  })

  it('tells its writer whom to wake: a sleeper once, a reader that was told not again', () => {
    const memory = createRing()
    const [writer, reader] = [new RingWriter(memory), new RingReader(memory)]
    expect([writer.wake(), writer.wake()]).toEqual([true, false])
    reader.sleep()
    expect(writer.wake()).toBe(true)
  })

  it('does not make its reader wait for what is there already', () => {
    const memory = createRing()
    const [writer, reader] = [new RingWriter(memory), new RingReader(memory)]
    writer.write(1, 1, new Uint8Array(1))
    reader.linger(2 ** 30)
    const ids: number[] = []
    reader.readTo(reader.written, (_type, id) => ids.push(id))
    expect(ids).toEqual([1])
  })
})

describe('a channel between threads', () => {
  interface Seen {
    readonly id: number
    readonly length: number
    readonly direct: unknown
  }

  /** Both ends in this thread. */
  function pair(onFrame: (seen: Seen) => void): { left: ThreadChannel; right: ThreadChannel } {
    const { port1, port2 } = new MessageChannel()
    const [there, back] = [createRing(), createRing()]
    const left = new ThreadChannel(port1, there, back, () => undefined)
    const right = new ThreadChannel(port2, back, there, (_type, id, { byteLength }, direct) =>
      onFrame({ id, length: byteLength, direct }),
    )
    return { left, right }
  }

  const frames = fc.array(
    fc.record({
      length: fc.constantFrom(0, 1, 100, 5_000, MAX_RING_PAYLOAD, MAX_RING_PAYLOAD + 1, 200_000),
      direct: fc.option(fc.string(), { nil: undefined }),
      flush: fc.boolean(),
      poll: fc.boolean(),
    }),
    { maxLength: 60 },
  )

  it('keeps the order of what is written, what is too large, and what goes beside it', async () => {
    await fc.assert(
      fc.asyncProperty(frames, async (sent) => {
        const seen: Seen[] = []
        let all: () => void = () => undefined
        const { left, right } = pair((frame) => {
          seen.push(frame)
          if (frame.id === sent.length) all()
        })
        const arrived = new Promise<void>((resolve) => {
          all = resolve
        })
        sent.forEach(({ length, direct, flush, poll }, i) => {
          left.send(1, i, new Uint8Array(length), direct === undefined ? undefined : { value: direct, transfer: [] })
          if (flush) left.flush()
          if (poll) right.poll()
        })
        left.send(1, sent.length, new Uint8Array(0))
        await arrived
        left.close()
        const expected = sent.map(({ length, direct }, id) => ({ id, length, direct }))
        expect(seen).toEqual([...expected, { id: sent.length, length: 0, direct: undefined }])
      }),
      { numRuns: 40 },
    )
  })

  it('goes on after a handler that throws', async () => {
    const ids: number[] = []
    let last: () => void = () => undefined
    const { left, right } = pair(({ id }) => {
      ids.push(id)
      if (id === 1) throw new Error('the handler broke')
      if (id === 3) last()
    })
    const arrived = new Promise<void>((resolve) => {
      last = resolve
    })
    for (const id of [1, 2, 3]) left.send(1, id, new Uint8Array(1))
    expect(() => right.poll()).toThrow('the handler broke')
    await arrived
    left.close()
    expect(ids).toEqual([1, 2, 3])
  })
})

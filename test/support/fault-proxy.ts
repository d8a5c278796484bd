/**
 * A TCP proxy in front of an HTTP server that hurts reads at random, in turn by a 503 in the server's place, a body
 * ended early and a connection reset in the middle. Seeded, and it hurts the same request twice at most, so that a
 * client that tries five times always gets through. Other methods than GET and reads without a Range pass unhurt.
 */
import net from 'node:net'

export type Fault = 'busy' | 'cut' | 'reset'

export interface FaultProxy {
  readonly port: number
  /** How often each fault was dealt. */
  readonly dealt: Readonly<Record<Fault, number>>
  close(): Promise<void>
}

const FAULTS: readonly Fault[] = ['busy', 'cut', 'reset']
const TIMES_PER_REQUEST = 2
const BUSY_BODY = '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>reduce your rate</Message></Error>'
const BUSY = `HTTP/1.1 503 Slow Down\r\ncontent-type: application/xml\r\ncontent-length: ${BUSY_BODY.length}\r\n\r\n${BUSY_BODY}`

/** `rate` of the reads are hurt; what is cut or reset is so within the first `withinBytes` of the answer. */
export async function startFaultProxy(
  upstreamPort: number,
  { seed, rate, withinBytes }: { readonly seed: number; readonly rate: number; readonly withinBytes: number },
): Promise<FaultProxy> {
  const random = generator(seed)
  const dealt: Record<Fault, number> = { busy: 0, cut: 0, reset: 0 }
  const hurt = new Map<string, number>()
  const sockets = new Set<net.Socket>()
  const choose = (head: string): Fault | undefined => {
    const range = /^range: *(.*)$/im.exec(head)?.[1]
    const request = `${head.slice(0, head.indexOf('\r\n'))} ${range}`
    const times = hurt.get(request) ?? 0
    if (!head.startsWith('GET ') || range === undefined || times >= TIMES_PER_REQUEST || random() >= rate)
      return undefined
    hurt.set(request, times + 1)
    const fault = FAULTS[(dealt.busy + dealt.cut + dealt.reset) % FAULTS.length] as Fault
    dealt[fault] += 1
    return fault
  }
  const server = net.createServer((client) => {
    sockets.add(client)
    client.on('close', () => sockets.delete(client))
    relay(client, upstreamPort, choose, () => Math.floor(random() * withinBytes))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as net.AddressInfo).port,
    dealt,
    close() {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

/** Clients send one request at a time, and its head in one piece. */
function relay(
  client: net.Socket,
  upstreamPort: number,
  choose: (head: string) => Fault | undefined,
  bytesLeft: () => number,
): void {
  const upstream = net.connect(upstreamPort, '127.0.0.1')
  let left = Number.POSITIVE_INFINITY
  let end = () => client.end()
  client.on('data', (bytes) => {
    const fault = choose(bytes.toString('latin1'))
    if (fault === 'busy') return client.write(BUSY)
    left = fault === undefined ? Number.POSITIVE_INFINITY : bytesLeft()
    const reset = fault === 'reset'
    end = () => (reset ? client.resetAndDestroy() : client.end())
    return upstream.write(bytes)
  })
  upstream.on('data', (bytes) => {
    if (client.writableEnded || client.destroyed) return
    client.write(bytes.subarray(0, Math.min(bytes.length, left)))
    left -= bytes.length
    if (left > 0) return
    upstream.destroy()
    end()
  })
  upstream.on('end', () => client.end())
  upstream.on('error', () => client.destroy())
  client.on('error', () => upstream.destroy())
  client.on('close', () => upstream.destroy())
}

/** mulberry32: numbers in [0, 1). */
function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A TCP proxy that ends a connection after so many bytes of an answer: what a network does to bodies. */
import net from 'node:net'

export interface CuttingProxy {
  readonly port: number
  /** From now on, each connection ends after this many bytes back; by FIN, as if all had been said. */
  cutAfter(bytes: number): void
  close(): Promise<void>
}

export async function startCuttingProxy(upstreamPort: number): Promise<CuttingProxy> {
  let limit = Number.POSITIVE_INFINITY
  const server = net.createServer((client) => {
    const upstream = net.connect(upstreamPort, '127.0.0.1')
    let given = 0
    client.pipe(upstream)
    upstream.on('data', (bytes) => {
      const part = bytes.subarray(0, Math.max(0, limit - given))
      given += bytes.length
      client.write(part)
      if (given < limit) return
      client.end()
      upstream.destroy()
    })
    upstream.on('end', () => client.end())
    upstream.on('error', () => client.destroy())
    client.on('error', () => upstream.destroy())
    client.on('close', () => upstream.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as net.AddressInfo).port,
    cutAfter(bytes) {
      limit = bytes
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

/**
 * The stores that bench/read.mjs reads from, in a process of their own. `plain`: a bare node server that knows GET and
 * HEAD with a Range, every key 64 MiB of the same bytes. `far`: the same, as a store is over a distance: an answer takes
 * 30 ms to begin, a connection brings 50 MiB/s. `fauxqs`: an S3 server from npm, in memory. Its address goes to the parent.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import { setTimeout } from 'node:timers/promises'

const OBJECT_BYTES = 64 * 2 ** 20
const FAR_MS = 30
const FAR_BYTES_PER_MS = (50 * 2 ** 20) / 1_000
const FAR_STEP_MS = 5

/** What is due by now, every few milliseconds; what the connection does not take is waited for. */
async function sendFar(response, head, bytes) {
  await setTimeout(FAR_MS)
  response.writeHead(...head)
  const from = performance.now()
  for (let at = 0; at < bytes.length && !response.destroyed; ) {
    await setTimeout(FAR_STEP_MS)
    const due = Math.min(bytes.length, Math.floor((performance.now() - from) * FAR_BYTES_PER_MS))
    const goesOn = response.write(bytes.subarray(at, due))
    at = due
    if (!goesOn) await Promise.race([once(response, 'drain'), once(response, 'close')])
  }
  response.end()
}

if (process.argv[2] === 'fauxqs') {
  const { startFauxqs } = await import('fauxqs')
  const server = await startFauxqs({ port: 0, logger: false })
  process.send(`http://127.0.0.1:${server.port}`)
} else {
  const object = Buffer.alloc(OBJECT_BYTES, randomBytes(2 ** 20))
  const server = http.createServer((request, response) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    const start = Number(from ?? 0)
    const end = Math.min(OBJECT_BYTES, Number(to ?? OBJECT_BYTES - 1) + 1)
    const range = from === undefined ? {} : { 'content-range': `bytes ${start}-${end - 1}/${OBJECT_BYTES}` }
    const headers = { etag: '"bench"', 'content-length': end - start, 'accept-ranges': 'bytes', ...range }
    const head = [from === undefined ? 200 : 206, headers]
    const body = request.method === 'HEAD' ? object.subarray(0, 0) : object.subarray(start, end)
    if (process.argv[2] === 'far') void sendFar(response, head, body)
    else response.writeHead(...head).end(body)
  })
  server.keepAliveTimeout = 60_000
  server.listen(0, '127.0.0.1', () => process.send(`http://127.0.0.1:${server.address().port}`))
}
process.on('disconnect', () => process.exit())

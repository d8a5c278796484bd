/**
 * The stores that bench/read.mjs reads from, in a process of their own. `plain`: a bare node server that knows GET and
 * HEAD with a Range, every key 64 MiB of the same bytes. `fauxqs`: an S3 server from npm, in memory. Its address goes to
 * the parent.
 */
import { randomBytes } from 'node:crypto'
import http from 'node:http'

const OBJECT_BYTES = 64 * 2 ** 20

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
    response.writeHead(from === undefined ? 200 : 206, headers)
    if (request.method === 'HEAD') response.end()
    else response.end(object.subarray(start, end))
  })
  server.keepAliveTimeout = 60_000
  server.listen(0, '127.0.0.1', () => process.send(`http://127.0.0.1:${server.address().port}`))
}
process.on('disconnect', () => process.exit())

// Serves `argv[2]` objects of `argv[3]` bytes over http, each piece by piece; says its port, and when it has begun to send.
import http from 'node:http'

const [count, size] = process.argv.slice(2).map(Number)
const PIECE = 64 * 1024

function contentAt(start, end) {
  return Buffer.from(Array.from({ length: end - start }, (_, i) => (start + i) % 251))
}

const server = http.createServer(async (request, response) => {
  const number = Number(/^\/o(\d+)$/.exec(request.url)?.[1])
  if (!(number < count)) return response.writeHead(404).end()
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
  const [start, end] = [Number(from ?? 0), Math.min(size, Number(to ?? size - 1) + 1)]
  const headers = { etag: `"${number}"`, 'content-length': end - start, 'accept-ranges': 'bytes' }
  if (from === undefined) response.writeHead(200, headers)
  else response.writeHead(206, { ...headers, 'content-range': `bytes ${start}-${end - 1}/${size}` })
  if (request.method === 'HEAD') return response.end()
  process.send('reading')
  for (let at = start; at < end; at += PIECE) {
    response.write(contentAt(at, Math.min(end, at + PIECE)))
    await new Promise((resolve) => setImmediate(resolve))
  }
  response.end()
})
server.listen(0, '127.0.0.1', () => process.send(server.address().port))
process.on('disconnect', () => process.exit())

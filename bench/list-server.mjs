/**
 * The store that bench/list.mjs lists, in a process of its own: a bare node server that knows ListObjectsV2 over a fixed
 * list of keys, in pages of 1,000 that take so many milliseconds each, and nothing else. Its address goes to the parent.
 */
import http from 'node:http'

const PAGE = 1_000
const count = Number(process.argv[2])
const pageMs = Number(process.argv[3])
const keys = Array.from({ length: count }, (_, i) => `logs/2026/11/21/host-${i % 97}/part-${i}.log`).sort()
const entries = keys.map(
  (key, i) =>
    `<Contents><Key>${encodeURIComponent(key).replaceAll('%2F', '/')}</Key><LastModified>2026-11-21T10:00:00.000Z</LastModified><ETag>&quot;${i.toString(16).padStart(32, '0')}&quot;</ETag><Size>${i}</Size><StorageClass>STANDARD</StorageClass></Contents>`,
)

const server = http.createServer((request, response) => {
  const { searchParams } = new URL(request.url, 'http://localhost')
  const after = searchParams.get('continuation-token') ?? searchParams.get('start-after') ?? ''
  const from = placeAfter(after)
  const to = Math.min(from + PAGE, count)
  const more = to < count
  const next = more ? `<NextContinuationToken>${keys[to - 1]}</NextContinuationToken>` : ''
  const body = `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bench</Name><Prefix></Prefix><KeyCount>${to - from}</KeyCount><MaxKeys>${PAGE}</MaxKeys><EncodingType>url</EncodingType><IsTruncated>${more}</IsTruncated>${next}${entries.slice(from, to).join('')}</ListBucketResult>`
  const answer = () =>
    response.writeHead(200, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(body) }).end(body)
  if (pageMs > 0) setTimeout(answer, pageMs)
  else answer()
})

function placeAfter(key) {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (keys[middle] <= key) low = middle + 1
    else high = middle
  }
  return low
}

server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => process.send(`http://127.0.0.1:${server.address().port}`))
process.on('disconnect', () => process.exit())

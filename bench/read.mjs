/**
 * Reading bytes of a store over loopback: quern's partitions, a loop of ranged GETs by node:http on as many connections,
 * and the loop that the AWS SDK's documentation shows. CPU seconds are this process's, of which the server is none.
 */
import { fork } from 'node:child_process'
import http from 'node:http'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { openPartition } from 'quern/partitioner'
import { median } from './measure.mjs'

const MIB = 2 ** 20
const OBJECT_BYTES = 64 * MIB
const REQUEST_BYTES = 8 * MIB
/** Two partitions at a time, each with three requests under way. */
const PARTITIONS_AT_ONCE = 2
const CONNECTIONS = 6
const SMALL_BYTES = 64 * 1024
const ROUNDS = 5
const ACCESS = { accessKeyId: 'bench', secretAccessKey: 'bench' }

/** `totalBytes` through objects of 64 MiB, from the store of that kind; a tenth of it in ranges of 64 KiB. */
export async function read(kind, totalBytes) {
  const server = fork(fileURLToPath(new URL('./read-server.mjs', import.meta.url)), [kind])
  const endpoint = await new Promise((resolve) => server.once('message', resolve))
  const store = await openStore(endpoint)
  try {
    const keys = Array.from({ length: 4 }, (_, i) => `o${i}`)
    if (kind === 'fauxqs') await fill(store.backend, keys)
    const etag = (await store.backend.head('bench', 'o0')).etag
    const whole = { ...store, etag, endpoint, keys, bytes: totalBytes, rangeBytes: REQUEST_BYTES, lanes: CONNECTIONS }
    const small = { ...whole, bytes: Math.floor(totalBytes / 10), rangeBytes: SMALL_BYTES }
    const large = await measure({
      quern: () => readPartitions(whole),
      http: () => readByHttp(whole),
      sdk: () => readBySdk(whole),
    })
    const ranges = await measure({ quern: () => readSmallPartitions(small), sdk: () => readBySdk(small) })
    const from = `${totalBytes / MIB} MiB from ${kind === 'fauxqs' ? 'fauxqs' : 'a bare node server'}`
    return [
      row(`reading ${from}, ${CONNECTIONS} connections`, large, 'http', whole.bytes, 0.9),
      row(`reading ${from}, ${CONNECTIONS} connections`, large, 'sdk', whole.bytes, 1),
      cpuRow(`64 KiB ranges, ${small.bytes / MIB} MiB ${from.slice(from.indexOf('from'))}`, ranges, small.bytes),
    ]
  } finally {
    await store.close()
    server.kill()
  }
}

/** What requests ahead gain where connections are the limit: the same partitions with the default, and with one at a time. */
export async function readFar(totalBytes) {
  const server = fork(fileURLToPath(new URL('./read-server.mjs', import.meta.url)), ['far'])
  const endpoint = await new Promise((resolve) => server.once('message', resolve))
  const store = await openStore(endpoint)
  try {
    const { etag } = await store.backend.head('bench', 'o0')
    const run = { ...store, etag, keys: ['o0', 'o1', 'o2', 'o3'], bytes: totalBytes }
    const times = await measure({ quern: () => readPartitions(run), one: () => readPartitions({ ...run, ahead: 1 }) })
    const what = `reading ${totalBytes / MIB} MiB, 30 ms and 50 MiB/s a connection, ${PARTITIONS_AT_ONCE} partitions at once`
    return row(what, times, 'one', totalBytes, 2)
  } finally {
    await store.close()
    server.kill()
  }
}

async function openStore(endpoint) {
  const dist = createRequire(import.meta.url)
    .resolve('quern/package.json')
    .replace(/package\.json$/, 'dist/')
  const { createBackends } = await import(pathToFileURL(`${dist}src/backends.js`).href)
  const { ReadAhead } = await import(pathToFileURL(`${dist}partitioner/prefetch.js`).href)
  const backends = createBackends({ aws_s3: { endpoint, region: 'us-east-1', ...ACCESS } })
  const client = new S3Client({ endpoint, region: 'us-east-1', credentials: ACCESS, forcePathStyle: true })
  return {
    backend: await backends.resolve('aws_s3'),
    readAhead: new ReadAhead(16),
    client,
    async close() {
      client.destroy()
      await backends.close()
    },
  }
}

/** All the same bytes, so that one etag is that of all. */
async function fill(backend, keys) {
  await backend.createBucket('bench')
  for (const key of keys) await backend.put('bench', key, Buffer.alloc(OBJECT_BYTES, 'line\n'))
}

/** Parts of `rangeBytes` of object after object, taken by `lanes` at once. */
async function inLanes({ bytes, rangeBytes, keys }, lanes, readRange) {
  let at = 0
  let received = 0
  const lane = async () => {
    while (at < bytes) {
      const place = at
      at += rangeBytes
      const start = place % OBJECT_BYTES
      const bytesRead = await readRange(keys[Math.floor(place / OBJECT_BYTES) % keys.length], start, start + rangeBytes)
      received += bytesRead
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  if (received < bytes) throw new Error(`read ${received} of ${bytes} bytes`)
}

function readPartitions(run) {
  return inLanes({ ...run, rangeBytes: OBJECT_BYTES }, PARTITIONS_AT_ONCE, partitionReader(run))
}

function readSmallPartitions(run) {
  return inLanes(run, run.lanes, partitionReader(run))
}

function partitionReader({ backend, etag, readAhead, ahead }) {
  return async (key, start, end) => {
    const object = { backend: 'aws_s3', bucket: 'bench', key, url: `s3://bench/${key}`, size: OBJECT_BYTES, etag }
    const partition = { object, range: { start, end }, index: 0, count: 1 }
    const reader = openPartition(partition, { backend, read: { objNewline: null }, requests: { readAhead, ahead } })
    let bytes = 0
    for await (const chunk of reader.stream()) bytes += chunk.length
    return bytes
  }
}

async function readByHttp(run) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: run.lanes })
  await inLanes(run, run.lanes, (key, start, end) => {
    return new Promise((resolve, reject) => {
      const headers = { range: `bytes=${start}-${end - 1}` }
      http
        .get(`${run.endpoint}/bench/${key}`, { agent, headers }, (response) => {
          let bytes = 0
          response.on('data', (chunk) => {
            bytes += chunk.length
          })
          response.on('end', () => resolve(bytes))
          response.on('error', reject)
        })
        .on('error', reject)
    })
  })
  agent.destroy()
}

function readBySdk(run) {
  return inLanes(run, run.lanes, async (Key, start, end) => {
    const command = new GetObjectCommand({ Bucket: 'bench', Key, Range: `bytes=${start}-${end - 1}` })
    const { Body } = await run.client.send(command)
    let bytes = 0
    for await (const chunk of Body) bytes += chunk.length
    return bytes
  })
}

/** Median seconds and CPU seconds of each contestant, over interleaved rounds after one that does not count. */
async function measure(contestants) {
  const taken = Object.fromEntries(Object.keys(contestants).map((name) => [name, { seconds: [], cpu: [] }]))
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, run] of Object.entries(contestants)) {
      const [from, cpuFrom] = [performance.now(), process.cpuUsage()]
      await run()
      const { user, system } = process.cpuUsage(cpuFrom)
      if (round === 0) continue
      taken[name].seconds.push((performance.now() - from) / 1_000)
      taken[name].cpu.push((user + system) / 1e6)
    }
  }
  const medians = ({ seconds, cpu }) => ({ seconds: median(seconds), cpu: median(cpu) })
  return Object.fromEntries(Object.entries(taken).map(([name, each]) => [name, medians(each)]))
}

const PEERS = { http: 'http.get by hand', sdk: 'GetObjectCommand', one: 'one request at a time' }

function row(what, times, peer, bytes, goal) {
  return {
    what,
    ours: told(times.quern, bytes),
    peer: `${PEERS[peer]} ${told(times[peer], bytes)}`,
    ratio: times[peer].seconds / times.quern.seconds,
    goal,
  }
}

function cpuRow(what, times, bytes) {
  return {
    what: `${what}, per CPU second`,
    ours: told(times.quern, bytes),
    peer: `${PEERS.sdk} ${told(times.sdk, bytes)}`,
    ratio: times.sdk.cpu / times.quern.cpu,
    goal: 2,
  }
}

function told({ seconds, cpu }, bytes) {
  const gib = bytes / 2 ** 30
  return `${(gib / seconds).toFixed(2)} GiB/s, ${(cpu / gib).toFixed(2)} CPU s/GiB`
}

/**
 * Listing 100,000 keys of an S3 server over loopback: quern's selection of the whole bucket, and a loop by node:http that
 * asks page after page, as fast as the server gives them, and takes key, size and etag out of each. CPU seconds are this
 * process's, of which the server is none.
 */
import { fork } from 'node:child_process'
import http from 'node:http'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { objects, selectObjects } from 'quern/partitioner'
import { rounds } from './measure.mjs'

const KEYS = 100_000

/** @param pageMs how long the server takes for a page */
export async function list(pageMs) {
  const server = fork(fileURLToPath(new URL('./list-server.mjs', import.meta.url)), [`${KEYS}`, `${pageMs}`])
  const endpoint = await new Promise((resolve) => server.once('message', resolve))
  const { createBackends } = await import(
    pathToFileURL(
      createRequire(import.meta.url)
        .resolve('quern/package.json')
        .replace(/package\.json$/, 'dist/src/backends.js'),
    ).href
  )
  const access = { accessKeyId: 'bench', secretAccessKey: 'bench' }
  const backends = createBackends({ aws_s3: { endpoint, region: 'us-east-1', ...access } })
  const agent = new http.Agent({ keepAlive: true })
  const cpu = { quern: 0, http: 0 }
  const counted = (name, run) => async () => {
    const from = process.cpuUsage()
    const found = await run()
    if (found !== KEYS) throw new Error(`${name} listed ${found} of ${KEYS} keys`)
    const { user, system } = process.cpuUsage(from)
    cpu[name] = (user + system) / 1e6
  }
  try {
    const times = await rounds(
      {
        quern: counted('quern', async () => {
          const selected = await selectObjects(objects('s3://bench/'), backends.resolve)
          return selected.objects.length
        }),
        http: counted('http', () => listByHttp(endpoint, agent)),
      },
      5,
    )
    const told = (name) =>
      `${Math.round(KEYS / times[name]).toLocaleString('en-US')} keys/s, ${cpu[name].toFixed(2)} CPU s`
    return {
      what: `listing ${KEYS.toLocaleString('en-US')} keys of a node server that takes ${pageMs} ms a page`,
      ours: told('quern'),
      peer: `http.get page after page ${told('http')}`,
      ratio: times.http / times.quern,
      goal: 0.9,
    }
  } finally {
    agent.destroy()
    await backends.close()
    server.kill()
  }
}

async function listByHttp(endpoint, agent) {
  const heads = []
  let token
  do {
    const query = new URLSearchParams({ 'list-type': '2', 'encoding-type': 'url' })
    if (token !== undefined) query.set('continuation-token', token)
    const xml = await text(`${endpoint}/bench?${query}`, agent)
    for (const [, key, etag, size] of xml.matchAll(/<Key>([^<]*)<\/Key>.*?<ETag>([^<]*)<\/ETag><Size>(\d+)<\/Size>/g)) {
      heads.push({ key: decodeURIComponent(key), etag: etag.replaceAll('&quot;', '"'), size: Number(size) })
    }
    token = /<NextContinuationToken>([^<]*)</.exec(xml)?.[1]
  } while (token !== undefined)
  return heads.length
}

function text(url, agent) {
  return new Promise((resolve, reject) => {
    http
      .get(url, { agent }, (response) => {
        const chunks = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('end', () => resolve(Buffer.concat(chunks).toString()))
        response.on('error', reject)
      })
      .on('error', reject)
  })
}

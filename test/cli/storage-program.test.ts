/** `quern storage` and `quern doctor` as programs: real stores behind sockets, exit codes, Ctrl-C from outside. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { joinedProgram } from '../support/joined-programs.ts'

const SECRET = 'verysecretindeed'

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'quern-storage-program-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function configure(endpoint: string): void {
  mkdirSync(path.join(folder, '.quern'), { recursive: true })
  const aws_s3 = { endpoint, region: 'us-east-1', access_key_id: 'AKIATESTONLY', secret_access_key: SECRET }
  writeFileSync(path.join(folder, '.quern/config.yaml'), JSON.stringify({ aws_s3 }))
}

function start(args: readonly string[]): { readonly cli: ChildProcess; readonly ended: Promise<Ended> } {
  const cli = spawn(process.execPath, [joinedProgram('cli'), ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const written = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    cli[name].setEncoding('utf8').on('data', (text: string) => {
      written[name] += text
    })
  }
  const ended = new Promise<Ended>((resolve) => cli.on('close', (code) => resolve({ code, ...written })))
  return { cli, ended }
}

const quern = (...args: string[]) => start(args).ended

it('puts, lists and fetches in the store of this folder, and refuses to delete it unasked', async () => {
  mkdirSync(path.join(folder, 'd'))
  writeFileSync(path.join(folder, 'd/a b%.txt'), 'one')
  writeFileSync(path.join(folder, 'd/c.txt'), 'two')
  expect(await quern('storage', 'put', 'd/', 'localhost://quern/x/')).toMatchObject({ code: 0, stderr: '' })
  const { stdout } = await quern('storage', 'ls', 'localhost://quern', '--json')
  const lines = stdout.trim().split('\n')
  expect(lines.map((line) => JSON.parse(line).key)).toEqual(['x/a b%.txt', 'x/c.txt'])
  expect(await quern('storage', 'get', 'localhost://quern/x/*', 'e')).toMatchObject({ code: 0, stderr: '' })
  expect(readFileSync(path.join(folder, 'e/a b%.txt'), 'utf8')).toBe('one')
  const refused = await quern('storage', 'rm', 'localhost://quern/x/')
  expect(refused).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('only with --yes') })
})

it('doctor: a real worker, a store that is not there, no secret', async () => {
  configure('http://127.0.0.1:1')
  const { code, stdout, stderr } = await quern('doctor', 's3://b', '--json')
  const steps = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { step: string; status: string })
  expect({ code, stderr, failed: steps.filter(({ status }) => status === 'failed').map(({ step }) => step) }).toEqual({
    code: 1,
    stderr: '',
    failed: ['tcp'],
  })
  expect(steps.at(-1)).toMatchObject({ step: 'compute', status: 'ok' })
  expect(stdout).not.toContain(SECRET)
})

describe.skipIf(process.platform === 'win32')('Ctrl-C', () => {
  it('a download: no part of a file is left', async () => {
    const begun: http.ServerResponse[] = []
    const server = http.createServer((request, response) => {
      response.writeHead(200, { 'content-length': 100 << 20, etag: '"x"', 'accept-ranges': 'bytes' })
      if (request.method === 'HEAD') return void response.end()
      response.write(Buffer.alloc(1 << 20))
      begun.push(response)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { cli, ended } = start([
      'storage',
      'get',
      `http://127.0.0.1:${(server.address() as AddressInfo).port}/big.bin`,
    ])
    while (!readdirSync(folder).some((name) => name.endsWith('.tmp')) && cli.exitCode === null) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    cli.kill('SIGINT')
    const { code, stderr } = await ended
    server.closeAllConnections()
    server.close()
    expect(begun).toHaveLength(1)
    expect({ code, stderr, left: readdirSync(folder) }).toEqual({ code: 130, stderr: 'interrupted\n', left: [] })
  })

  it('an upload in parts: it is abandoned in the store', async () => {
    const asked: string[] = []
    let cli: ChildProcess | undefined
    const server = http.createServer((request, response) => {
      const { method = '', url = '' } = request
      asked.push(`${method} ${url.replace(/[?&]x-id=\w+/, '')}`)
      // parts that are under way are left unanswered
      if (url.includes('partNumber=')) {
        // a second one would end the program at once
        if (!cli?.killed) cli?.kill('SIGINT')
        return
      }
      const body = '<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>'
      response.writeHead(method === 'DELETE' ? 204 : 200).end(method === 'POST' ? body : '')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    configure(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    writeFileSync(path.join(folder, 'big.bin'), Buffer.alloc(40 << 20))
    const run = start(['storage', 'put', 'big.bin', 's3://b/'])
    cli = run.cli
    const { code, stderr } = await run.ended
    server.closeAllConnections()
    server.close()
    expect({ code, stderr }).toEqual({ code: 130, stderr: 'interrupted\n' })
    expect(asked.filter((each) => each.startsWith('DELETE'))).toEqual(['DELETE /b/big.bin?uploadId=u1'])
    expect(asked.some((each) => each.startsWith('POST') && each.includes('uploadId='))).toBe(false)
  })
})

/**
 * Vitest's global setup: one real S3 server for the whole run, and a line that says which. Ceph RADOS Gateway where it
 * is installed; else an embedded one from npm, which knows no conditional writes. QUERN_TEST_S3=none leaves S3 out.
 */
import { execFile, execFileSync } from 'node:child_process'
import { accessSync, constants, mkdtempSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'

export interface S3Server {
  readonly kind: 'ceph' | 'fauxqs' | 'none'
  readonly endpoint: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

declare module 'vitest' {
  interface ProvidedContext {
    s3: S3Server
  }
}

const CEPH_PROGRAMS = ['radosgw', 'radosgw-admin', 'ceph-mon', 'ceph-osd', 'ceph', 'ceph-authtool', 'monmaptool']
const START_TRIES = 3
const ACCESS = { region: 'us-east-1', accessKeyId: 'testaccess', secretAccessKey: 'testsecret12' }

/** Starts the server; gives what ends it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  if (process.env.QUERN_TEST_S3 === 'none') {
    announce('S3 tests are skipped: QUERN_TEST_S3=none')
    project.provide('s3', { kind: 'none', endpoint: '', ...ACCESS })
    return () => Promise.resolve()
  }
  return CEPH_PROGRAMS.every(isInstalled) ? startCeph(project) : startEmbedded(project)
}

async function startCeph(project: TestProject): Promise<() => Promise<void>> {
  for (let tries = 1; ; tries++) {
    const state = mkdtempSync(join(tmpdir(), 'quern-ceph-'))
    const stop = () => promisify(execFile)(script('ceph-stop.sh'), [state]).then(() => undefined)
    const [port, monitorPort] = await freePorts(2)
    try {
      const ports = [`${port}`, `${monitorPort}`]
      await promisify(execFile)(script('ceph-start.sh'), [state, ...ports, ACCESS.accessKeyId, ACCESS.secretAccessKey])
    } catch (error) {
      await stop()
      // a port may be taken between the choice and its use
      if (tries === START_TRIES) throw error
      continue
    }
    const version = execFileSync('radosgw', ['--version'], { encoding: 'utf8' }).split(' ')[2]
    announce(`S3 tests run against Ceph RADOS Gateway ${version} on 127.0.0.1:${port}`)
    project.provide('s3', { kind: 'ceph', endpoint: `http://127.0.0.1:${port}`, ...ACCESS })
    return stop
  }
}

async function startEmbedded(project: TestProject): Promise<() => Promise<void>> {
  const { startFauxqs } = await import('fauxqs')
  const server = await startFauxqs({ port: 0, logger: false })
  announce('S3 tests run against fauxqs (embedded); skipped: conditional writes need Ceph RADOS Gateway')
  project.provide('s3', { kind: 'fauxqs', endpoint: `http://127.0.0.1:${server.port}`, ...ACCESS })
  return () => server.stop()
}

function script(name: string): string {
  return fileURLToPath(new URL(`../servers/${name}`, import.meta.url))
}

function isInstalled(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = net.createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

function announce(line: string): void {
  process.stdout.write(`${line}\n`)
}

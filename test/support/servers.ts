/**
 * Vitest's global setup: the real servers of the whole run, and a line for each that says what is used or left out.
 *
 * - S3: Ceph RADOS Gateway where it is installed; else an embedded one from npm, which knows no conditional writes.
 * - Swift in S3's dialect, nginx, and the Cloud Storage emulator of firebase-tools, where they are installed; the last in
 *   QUERN_TEST_GCS or ~/.cache/quern-test/gcs.
 *
 * QUERN_TEST_S3=none leaves S3 and Swift out.
 */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'

export interface S3Server {
  readonly kind: 'ceph' | 'fauxqs' | 'swift' | 'none'
  readonly endpoint: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** Where there is none, `endpoint` is empty. */
export interface GcsServer {
  readonly endpoint: string
}

/** Serves the files of `root`; see test/servers/nginx.conf. Where there is none, `endpoint` is empty. */
export interface WebServer {
  readonly endpoint: string
  readonly root: string
}

declare module 'vitest' {
  interface ProvidedContext {
    s3: S3Server
    swift: S3Server
    gcs: GcsServer
    nginx: WebServer
  }
}

type Stop = () => Promise<void>
interface Started<T> {
  readonly server: T
  readonly stop: Stop
}

const CEPH_PROGRAMS = ['radosgw', 'radosgw-admin', 'ceph-mon', 'ceph-osd', 'ceph', 'ceph-authtool', 'monmaptool']
const SWIFT_PROGRAMS = [
  ...['swift-proxy-server', 'swift-account-server', 'swift-container-server', 'swift-object-server'],
  ...['swift-ring-builder', 'memcached'],
]
const START_TRIES = 3
const ACCESS = { region: 'us-east-1', accessKeyId: 'testaccess', secretAccessKey: 'testsecret12' }
const NO_S3: S3Server = { kind: 'none', endpoint: '', ...ACCESS }

/** Starts the servers; gives what ends them. */
export default async function setup(project: TestProject): Promise<Stop> {
  const s3Wanted = process.env.QUERN_TEST_S3 !== 'none'
  if (!s3Wanted) announce('S3 tests are skipped: QUERN_TEST_S3=none')
  const [s3, swift, gcs, nginx] = await Promise.all([
    s3Wanted ? startS3() : nothing(NO_S3),
    s3Wanted ? startSwift() : nothing(NO_S3),
    startGcs(),
    startNginx(),
  ])
  project.provide('s3', s3.server)
  project.provide('swift', swift.server)
  project.provide('gcs', gcs.server)
  project.provide('nginx', nginx.server)
  return async () => {
    for (const { stop } of [s3, swift, gcs, nginx]) await stop()
  }
}

function nothing<T>(server: T): Started<T> {
  return { server, stop: () => Promise.resolve() }
}

async function startS3(): Promise<Started<S3Server>> {
  if (!CEPH_PROGRAMS.every(isInstalled)) return startEmbedded()
  const started = await startWithScripts('ceph', 2, [ACCESS.accessKeyId, ACCESS.secretAccessKey])
  const version = execFileSync('radosgw', ['--version'], { encoding: 'utf8' }).split(' ')[2]
  announce(`S3 tests run against Ceph RADOS Gateway ${version} at ${started.server}`)
  return { server: { kind: 'ceph', endpoint: started.server, ...ACCESS }, stop: started.stop }
}

async function startEmbedded(): Promise<Started<S3Server>> {
  const { startFauxqs } = await import('fauxqs')
  const server = await startFauxqs({ port: 0, logger: false })
  announce('S3 tests run against fauxqs (embedded); skipped: conditional writes need Ceph RADOS Gateway')
  const endpoint = `http://127.0.0.1:${server.port}`
  return { server: { kind: 'fauxqs', endpoint, ...ACCESS }, stop: () => server.stop() }
}

async function startSwift(): Promise<Started<S3Server>> {
  if (!SWIFT_PROGRAMS.every(isInstalled)) {
    announce("tests of Swift's S3 dialect are skipped: OpenStack Swift is not installed")
    return nothing(NO_S3)
  }
  const { server, stop } = await startWithScripts('swift', 5, [])
  announce(`tests of Swift's S3 dialect run against OpenStack Swift at ${server}`)
  const access = { region: 'us-east-1', accessKeyId: 'test:tester', secretAccessKey: 'testing' }
  return { server: { kind: 'swift', endpoint: server, ...access }, stop }
}

/** By NAME-start.sh and NAME-stop.sh; the first of its ports is the one it answers on. */
async function startWithScripts(name: string, portCount: number, more: readonly string[]): Promise<Started<string>> {
  for (let tries = 1; ; tries++) {
    const state = mkdtempSync(join(tmpdir(), `quern-${name}-`))
    const stop = () => promisify(execFile)(beside(`${name}-stop.sh`), [state]).then(() => undefined)
    const ports = await freePorts(portCount)
    try {
      await promisify(execFile)(beside(`${name}-start.sh`), [state, ...ports.map(String), ...more])
    } catch (error) {
      await stop()
      // a port may be taken between the choice and its use
      if (tries === START_TRIES) throw error
      continue
    }
    return { server: `http://127.0.0.1:${ports[0]}`, stop }
  }
}

async function startGcs(): Promise<Started<GcsServer>> {
  const folder = process.env.QUERN_TEST_GCS ?? join(homedir(), '.cache/quern-test/gcs')
  if (!existsSync(join(folder, 'node_modules/firebase-tools'))) {
    announce('tests of Google Cloud Storage run against a stub only: firebase-tools is not installed')
    return nothing({ endpoint: '' })
  }
  const [port] = await freePorts(1)
  const state = mkdtempSync(join(tmpdir(), 'quern-gcs-emulator-'))
  const child = spawn(process.execPath, [beside('gcs-emulator.cjs'), folder, `${port}`], {
    stdio: ['pipe', 'pipe', 'ignore'],
    // where it keeps objects
    env: { ...process.env, TMPDIR: state },
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await Promise.race([new Promise((resolve) => child.stdout.once('data', resolve)), ended])
  if (child.exitCode !== null) throw new Error('the Cloud Storage emulator did not start')
  const endpoint = `http://127.0.0.1:${port}`
  announce(`tests of Google Cloud Storage run against the emulator of firebase-tools at ${endpoint}, and a stub`)
  const stop = async () => {
    child.kill()
    await ended
    rmSync(state, { recursive: true, force: true })
  }
  return { server: { endpoint }, stop }
}

async function startNginx(): Promise<Started<WebServer>> {
  if (!isInstalled('nginx')) {
    announce('http tests run against stubs only: nginx is not installed')
    return nothing({ endpoint: '', root: '' })
  }
  const state = mkdtempSync(join(tmpdir(), 'quern-nginx-'))
  const root = join(state, 'files')
  mkdirSync(root)
  const [port] = await freePorts(1)
  const config = join(state, 'nginx.conf')
  const text = readFileSync(beside('nginx.conf'), 'utf8')
  const filled = text.replaceAll('STATE', state).replaceAll('PORT', `${port}`)
  // its workers must get at the files
  writeFileSync(config, process.getuid?.() === 0 ? `user root;\n${filled}` : filled)
  const child = spawn('nginx', ['-c', config, '-e', join(state, 'error.log')], { stdio: 'ignore' })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await untilListening(port as number, () => child.exitCode === null)
  const endpoint = `http://127.0.0.1:${port}`
  announce(`http tests run against nginx at ${endpoint}, and stubs`)
  const stop = async () => {
    child.kill()
    await ended
    rmSync(state, { recursive: true, force: true })
  }
  return { server: { endpoint, root }, stop }
}

async function untilListening(port: number, isAlive: () => boolean): Promise<void> {
  while (isAlive()) {
    const answered = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => resolve(true)).once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
    if (answered) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`nothing listens on port ${port}`)
}

function beside(name: string): string {
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

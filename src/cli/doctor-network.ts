/** The way to a store: name, port, certificate, clock. Nothing is signed and nothing of the store's is asked for. */
import dns from 'node:dns/promises'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'
import { formatDuration } from '../core/sizes.ts'
import { type Finding, failed, ok, type Steps } from './doctor-steps.ts'

export const NETWORK_STEPS = ['dns', 'tcp', 'tls', 'clock'] as const
/** Stores refuse what was signed earlier or later than this. */
const MAX_SKEW_MS = 5 * 60_000
const CONNECT_TIMEOUT_MS = 10_000

export interface Probes {
  readonly lookup: (host: string) => Promise<readonly string[]>
  readonly nowMs: () => number
}

export const systemProbes: Probes = {
  lookup: async (host) => (await dns.lookup(host, { all: true })).map(({ address }) => address),
  nowMs: () => Date.now(),
}

/** @param endpoint scheme, host and port; whether what lies behind may be asked for */
export async function examineNetwork(steps: Steps, endpoint: URL, probes: Probes = systemProbes): Promise<boolean> {
  const host = endpoint.hostname.replace(/^\[|\]$/g, '')
  const secure = endpoint.protocol === 'https:'
  const port = Number(endpoint.port || (secure ? 443 : 80))
  const named = await steps.run('dns', () => resolveName(host, probes), nameAdvice)
  if (!named) return leave(steps, ['tcp', 'tls', 'clock'], 'the name has no address')
  const connected = await steps.run('tcp', (signal) => connect(host, port, signal), portAdvice)
  if (!connected) return leave(steps, ['tls', 'clock'], 'nothing answers there')
  if (!secure) steps.skip(['tls'], `the endpoint is plain http: ${endpoint.origin}`)
  else if (!(await steps.run('tls', (signal) => shakeHands(host, port, signal), certificateAdvice))) {
    return leave(steps, ['clock'], 'no secure connection')
  }
  await steps.run('clock', (signal) => compareClocks(endpoint, probes, signal), httpAdvice)
  return true
}

function leave(steps: Steps, skipped: readonly string[], why: string): boolean {
  steps.skip(skipped, why)
  return false
}

async function resolveName(host: string, { lookup }: Probes): Promise<Finding> {
  if (net.isIP(host) !== 0) return ok(`${host} is an address`)
  const addresses = await lookup(host)
  return ok(`${host} is ${addresses.slice(0, 3).join(', ')}`)
}

function connect(host: string, port: number, signal: AbortSignal): Promise<Finding> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port, signal, timeout: CONNECT_TIMEOUT_MS })
    socket.once('connect', () => resolve(ok(`${host}:${port} takes connections`)))
    settleOnEnd(socket, reject)
    socket.once('connect', () => socket.destroy())
  })
}

function shakeHands(host: string, port: number, signal: AbortSignal): Promise<Finding> {
  return new Promise((resolve, reject) => {
    const name = net.isIP(host) === 0 ? { servername: host } : {}
    const socket = tls.connect({ host, port, ...name, timeout: CONNECT_TIMEOUT_MS })
    signal.addEventListener('abort', () => socket.destroy(), { once: true })
    socket.once('secureConnect', () => {
      const until = socket.getPeerCertificate().valid_to
      resolve(ok(`${socket.getProtocol() ?? 'TLS'}, certificate valid until ${until}`))
      socket.destroy()
    })
    settleOnEnd(socket, reject)
  })
}

function settleOnEnd(socket: net.Socket, reject: (error: Error) => void): void {
  socket.once('error', reject)
  socket.once('timeout', () => {
    socket.destroy(Object.assign(new Error(`no answer in ${CONNECT_TIMEOUT_MS / 1_000} s`), { code: 'ETIMEDOUT' }))
  })
}

/** By the Date header of any answer at all. */
async function compareClocks(endpoint: URL, { nowMs }: Probes, signal: AbortSignal): Promise<Finding> {
  const sentAt = nowMs()
  const date = await dateOf(endpoint, signal)
  const theirs = Date.parse(date ?? '')
  if (Number.isNaN(theirs)) return { status: 'skipped', detail: 'the server sends no Date' }
  // the header has whole seconds
  const skewMs = (sentAt + nowMs()) / 2 - theirs - 500
  const size = formatDuration(Math.abs(skewMs))
  const words = `this machine is ${size} ${skewMs > 0 ? 'ahead of' : 'behind'} the server`
  if (Math.abs(skewMs) <= MAX_SKEW_MS) return ok(Math.abs(skewMs) < 2_000 ? 'the clocks agree' : words)
  return failed(words, 'signatures are refused when clocks differ by more than 5 minutes: set this clock (NTP)')
}

function dateOf(endpoint: URL, signal: AbortSignal): Promise<string | undefined> {
  const client = endpoint.protocol === 'https:' ? https : http
  return new Promise((resolve, reject) => {
    const options = { method: 'HEAD', signal, agent: false, timeout: CONNECT_TIMEOUT_MS }
    const request = client.request(new URL('/', endpoint), options, (response) => {
      resolve(response.headers.date)
      response.resume()
    })
    request.once('timeout', () => request.destroy(new Error(`no answer in ${CONNECT_TIMEOUT_MS / 1_000} s`)))
    request.once('error', reject)
    request.end()
  })
}

function codeOf(error: unknown): string {
  return String(Object(error).code ?? '')
}

function nameAdvice(error: unknown): string {
  return codeOf(error) === 'EAI_AGAIN'
    ? 'the name server does not answer: is this machine online, is a VPN needed?'
    : 'check the endpoint and the region for a typing mistake, and whether the name needs a VPN'
}

function portAdvice(error: unknown): string {
  return codeOf(error) === 'ECONNREFUSED'
    ? 'nothing listens on that port: is the server running, is the port of the endpoint right?'
    : 'a firewall, a security group or a missing proxy may be in the way'
}

function certificateAdvice(error: unknown): string {
  const code = codeOf(error)
  if (/WRONG_VERSION|EPROTO|ECONNRESET|PACKET_LENGTH/.test(code)) {
    return 'that port may speak plain HTTP: an endpoint that begins with http:// would'
  }
  if (code === 'CERT_HAS_EXPIRED') return "the server's certificate has expired: renew it there (or set this clock)"
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return 'the certificate is for another name: use the name it has (with path-style addresses, if it is the bucket)'
  }
  return 'the certificate is of an authority Node does not know: give its file in NODE_EXTRA_CA_CERTS'
}

function httpAdvice(): string {
  return 'what listens there does not speak HTTP: check the scheme and the port of the endpoint'
}

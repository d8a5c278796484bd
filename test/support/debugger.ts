/** A debugger for tests: the inspector's protocol over a WebSocket, as much of RFC 6455 as that takes. */
import { randomBytes } from 'node:crypto'
import http from 'node:http'
import type { Socket } from 'node:net'

export interface Told {
  readonly id?: number
  readonly method?: string
  readonly params?: Record<string, unknown>
  readonly result?: Record<string, unknown>
}

export interface DebuggerSession {
  /** Sends a command; its result. */
  ask(method: string, params?: object): Promise<Record<string, unknown>>
  /** The next event of this name that has not been given yet. */
  event(method: string): Promise<Record<string, unknown>>
  close(): void
}

/** What `GET /json/list` on an inspector's port tells of its targets. */
export async function targetsOf(port: number): Promise<unknown> {
  return (await fetch(`http://127.0.0.1:${port}/json/list`)).json()
}

export async function attach(url: string): Promise<DebuggerSession> {
  const socket = await upgraded(url)
  const waiting = new Map<string, (told: Told) => void>()
  const early: Told[] = []
  let commands = 0
  onTexts(socket, (text) => {
    const told = JSON.parse(text) as Told
    const key = told.method ?? `${told.id}`
    const take = waiting.get(key)
    if (take === undefined) early.push(told)
    waiting.delete(key)
    take?.(told)
  })
  const next = (key: string): Promise<Told> => {
    const at = early.findIndex((told) => (told.method ?? `${told.id}`) === key)
    const [there] = at < 0 ? [] : early.splice(at, 1)
    return there === undefined ? new Promise((resolve) => waiting.set(key, resolve)) : Promise.resolve(there)
  }
  return {
    async ask(method, params = {}) {
      commands += 1
      socket.write(maskedText(JSON.stringify({ id: commands, method, params })))
      return (await next(`${commands}`)).result ?? {}
    },
    event: async (method) => (await next(method)).params ?? {},
    close: () => void socket.destroy(),
  }
}

function upgraded(url: string): Promise<Socket> {
  const headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': randomBytes(16).toString('base64'),
  }
  return new Promise((resolve, reject) => {
    const request = http.get(url.replace(/^ws:/, 'http:'), { headers })
    request.on('upgrade', (_response, socket) => resolve(socket as Socket))
    request.on('error', reject)
  })
}

function maskedText(text: string): Buffer {
  const bytes = Buffer.from(text)
  const mask = randomBytes(4)
  const head = bytes.length < 126 ? Buffer.from([0x81, 0x80 | bytes.length]) : Buffer.alloc(4)
  if (bytes.length >= 126) head.set([0x81, 0x80 | 126, bytes.length >> 8, bytes.length & 255])
  return Buffer.concat([head, mask, bytes.map((byte, i) => byte ^ (mask[i & 3] as number))])
}

/** Frames of a server: whole texts, not masked. */
function onTexts(socket: Socket, listener: (text: string) => void): void {
  let held = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk])
    for (;;) {
      const short = held.length < 2 ? 0 : (held[1] as number) & 127
      const start = short === 126 ? 4 : short === 127 ? 10 : 2
      if (held.length < start) return
      const size = short === 126 ? held.readUInt16BE(2) : short === 127 ? Number(held.readBigUInt64BE(2)) : short
      if (held.length < start + size) return
      if (((held[0] as number) & 15) === 1) listener(held.toString('utf8', start, start + size))
      held = held.subarray(start + size)
    }
  })
}

/** A loopback server that notes what it is asked and answers as it is told. */
import http from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Recorded {
  readonly method: string
  /** Path and query, as sent. */
  readonly url: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: Buffer
}

export interface RecordedAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

export interface RecordingServer {
  readonly endpoint: string
  readonly requests: Recorded[]
  answer: (request: Recorded) => RecordedAnswer
  close(): Promise<void>
}

/** Answers 200 with nothing until `answer` is set. */
export async function startRecordingServer(): Promise<RecordingServer> {
  const requests: Recorded[] = []
  const recording = { answer: (_: Recorded): RecordedAnswer => ({ status: 200 }) }
  const server = http.createServer(async (incoming, response) => {
    const chunks: Buffer[] = []
    try {
      for await (const chunk of incoming) chunks.push(chunk as Buffer)
    } catch {
      // a client that goes away in the middle of its request is not answered
      return
    }
    const { method = '', url = '', headers } = incoming
    const request = { method, url, headers, body: Buffer.concat(chunks) }
    requests.push(request)
    const { status, headers: more = {}, body = '' } = recording.answer(request)
    response
      .writeHead(status, { 'content-length': Buffer.byteLength(body), ...more })
      .end(method === 'HEAD' ? '' : body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(recording, {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

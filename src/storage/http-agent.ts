/**
 * Agents for connections that much is read from. What arrives is read into memory that all connections of an agent
 * share, again and again: the HTTP parser copies what is a body, before the next read. Memory of its own for every read
 * costs as much as the reading, most of it in collections of garbage.
 */
import type { AgentOptions } from 'node:http'
import type { Socket } from 'node:net'

/** Four times what Node reads at a time, so that a quarter of the turns is taken; fits the cache of a core, twice. */
const READ_BYTES = 256 * 1024

/** For `new http.Agent` and `new https.Agent`: connections are kept alive. */
export function agentOptions(maxSockets: number): AgentOptions {
  const onread = {
    buffer: Buffer.allocUnsafeSlow(READ_BYTES),
    callback(this: Socket, bytes: number, buffer: Uint8Array): boolean {
      this.emit('data', buffer.subarray(0, bytes))
      return true
    },
  }
  return { keepAlive: true, maxSockets, onread } as AgentOptions
}

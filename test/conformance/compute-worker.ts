/** A worker, process or thread, that runs compute-program.ts over the pool's own channel. */
import { DROP, END, FEED, INVOKE, MESSAGE, NO_BYTES, READY, SHARED, START, USE } from '../../src/pool/protocol.ts'
import { connectToParent } from '../../src/pool/worker-side.ts'
import { performCommand } from './compute-program.ts'

const shared = new Map<number, Uint8Array>()
const received = { count: 0 }
let inUse: Uint8Array = NO_BYTES
let onFeed: ((bytes: Uint8Array) => void) | undefined
let early: Uint8Array[] = []

const parent = connectToParent((type, id, payload) => {
  if (type === START) start(payload)
  else if (type === SHARED) {
    received.count += 1
    inUse = Buffer.from(`${Buffer.from(payload).toString()}#${received.count}`)
    shared.set(id, inUse)
  } else if (type === USE) inUse = shared.get(id) ?? NO_BYTES
  else if (type === DROP) shared.delete(id)
  else if (type === FEED && onFeed === undefined) early.push(payload)
  else if (type === FEED) onFeed?.(payload)
  else if (type === INVOKE) void invoke(id, payload)
})

function start(payload: Uint8Array): void {
  const text = Buffer.from(payload).toString()
  if (text === 'refuse') {
    process.stderr.write('no such loader\n')
    process.exit(3)
  }
  process.env.STARTUP = text
  parent.send(READY, 0, NO_BYTES)
}

async function invoke(id: number, payload: Uint8Array): Promise<void> {
  onFeed = undefined
  early = []
  await performCommand(inUse, payload, {
    report: (bytes) => {
      parent.send(MESSAGE, id, bytes)
      parent.flush()
    },
    onFeed: (handler) => {
      onFeed = handler
      for (const bytes of early.splice(0)) handler(bytes)
    },
  })
  parent.send(END, id, NO_BYTES)
}

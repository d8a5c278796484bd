/** A worker, process or thread, that does what a payload of JSON says: for what only a pool's own tests ask of it. */
import { execFileSync, spawn } from 'node:child_process'
import { END, INVOKE, MESSAGE, NO_BYTES, READY, RECYCLE, START } from '../../src/pool/protocol.ts'
import { connectToParent } from '../../src/pool/worker-side.ts'

export interface Order {
  readonly do:
    | 'nothing'
    | 'flood'
    | 'reject'
    | 'throw'
    | 'print'
    | 'native'
    | 'recycle'
    | 'env'
    | 'double'
    | 'later'
    | 'spin'
    | 'spawn'
  readonly n?: number
  readonly name?: string
}

const parent = connectToParent((type, id, payload, direct) => {
  if (type === START) parent.send(READY, 0, NO_BYTES)
  else if (type === INVOKE) perform(id, JSON.parse(Buffer.from(payload).toString()) as Order, direct)
})

function perform(id: number, order: Order, direct: unknown): void {
  const say = (text: string) => parent.send(MESSAGE, id, Buffer.from(text))
  const end = () => parent.send(END, id, NO_BYTES)
  const orders: Record<Order['do'], () => void> = {
    nothing: end,
    flood() {
      for (let i = 0; i < (order.n ?? 0); i++) say(`${i} ${'x'.repeat(i % 97)}`)
      process.exit(3)
    },
    reject: () => void Promise.reject(new Error('nobody caught this')),
    throw: () => void setTimeout(() => fail(), 0),
    print() {
      process.stdout.write('to output\n')
      process.stderr.write('to error\n')
      process.exit(5)
    },
    native() {
      // the folder shows that this thread is where nothing can end it
      execFileSync('/bin/sh', ['-c', 'mkdir "$0"; sleep 5', order.name ?? ''])
      end()
    },
    recycle: () => parent.send(END, id, RECYCLE),
    env() {
      say(process.env[order.name ?? ''] ?? 'absent')
      end()
    },
    double() {
      const floats = direct as Float64Array
      for (let i = 0; i < floats.length; i++) floats[i] = 2 * (floats[i] as number)
      parent.send(MESSAGE, id, NO_BYTES, { value: floats, transfer: [floats.buffer as ArrayBuffer] })
      end()
    },
    spawn() {
      say(`${spawn('sleep', ['600'], { stdio: 'ignore' }).pid}`)
      end()
    },
    spin() {
      for (const from = performance.now(); performance.now() - from < (order.n ?? 0); );
      end()
    },
    later: () => void setTimeout(end, order.n),
  }
  orders[order.do]()
}

function fail(): never {
  throw new TypeError('thrown from a timer')
}

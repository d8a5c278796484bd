/**
 * The program that conformance tests of compute backends run: it does what its payload says. A backend of processes
 * runs compute-worker.ts, one without runs `performCommand` itself.
 */
import { spawn } from 'node:child_process'

export interface Command {
  readonly do:
    | 'echo'
    | 'count'
    | 'env'
    | 'sum-feeds'
    | 'hold'
    | 'pid'
    | 'exit'
    | 'signal'
    | 'abort'
    | 'exhaust'
    | 'spin'
    | 'pid-and-spin'
    | 'spawn-and-spin'
  /** `echo`: bytes that follow the command are sent back. `count`: how many messages. `exit`: the code. */
  readonly n?: number
  readonly name?: string
}

export interface CommandChannel {
  report(bytes: Uint8Array): void
  onFeed(handler: (bytes: Uint8Array) => void): void
}

/** A command as a payload, with bytes behind it. */
export function commandPayload(command: Command, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  return Buffer.concat([Buffer.from(`${JSON.stringify(command)}\n`), body])
}

/** Does what a payload says; `shared` is what the worker holds as the shared part. */
export async function performCommand(shared: Uint8Array, payload: Uint8Array, channel: CommandChannel): Promise<void> {
  const buffer = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  const cut = buffer.indexOf('\n')
  const command = JSON.parse(buffer.toString('utf8', 0, cut)) as Command
  const say = (text: string) => channel.report(Buffer.from(text))
  switch (command.do) {
    case 'echo':
      return channel.report(buffer.subarray(cut + 1))
    case 'count':
      for (let i = 0; i < (command.n ?? 0); i++) say(`${i}`)
      return
    case 'env':
      return say(`${process.env[command.name ?? ''] ?? 'absent'} shared:${Buffer.from(shared).toString()}`)
    case 'sum-feeds':
      return sumFeeds(command.n ?? 0, channel)
    case 'hold':
      say('holding')
      return new Promise((resolve) => channel.onFeed(() => resolve()))
    case 'pid':
      return say(`${process.pid}\n`)
    default:
      say(lastWords(command))
      return die(command)
  }
}

async function sumFeeds(count: number, channel: CommandChannel): Promise<void> {
  let [sum, seen] = [0, 0]
  await new Promise<void>((resolve) => {
    if (count === 0) resolve()
    channel.onFeed((bytes) => {
      sum += Number(Buffer.from(bytes).toString())
      seen += 1
      if (seen === count) resolve()
    })
  })
  channel.report(Buffer.from(`${sum}`))
}

function lastWords(command: Command): string {
  if (command.do === 'pid-and-spin') return `${process.pid}\n`
  if (command.do !== 'spawn-and-spin') return 'doomed'
  return `${process.pid}\n${spawn('sleep', ['600'], { stdio: 'ignore' }).pid}\n`
}

function die(command: Command): void {
  if (command.do === 'exit') process.exit(command.n ?? 0)
  if (command.do === 'abort') process.abort()
  if (command.do === 'signal') process.kill(process.pid, 'SIGKILL')
  const kept: string[][] = []
  for (;;) if (command.do === 'exhaust') kept.push(Array.from({ length: 100_000 }, (_, i) => `item ${i}`))
}

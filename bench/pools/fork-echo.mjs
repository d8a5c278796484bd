/** What a bare fork() with its default serialisation gives: MiB per second of 1 MiB buffers there and back, two children. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const MIB = 2 ** 20
const BUFFERS = 8

if (process.send !== undefined) process.on('message', (message) => process.send(message))
else await measure()

async function measure() {
  const children = [0, 1].map(() => fork(fileURLToPath(import.meta.url)))
  const block = Buffer.alloc(MIB, 'x')
  const echo = (child) =>
    new Promise((resolve) => {
      child.once('message', ({ data }) => resolve(Buffer.from(data)))
      child.send(block)
    })
  await Promise.all(children.map(echo))
  const from = performance.now()
  for (let i = 0; i < BUFFERS / 2; i++) await Promise.all(children.map(echo))
  console.log(JSON.stringify({ mibPerSecond: (BUFFERS * 1_000) / (performance.now() - from) }))
  for (const child of children) child.disconnect()
}

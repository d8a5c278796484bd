/** The best two-process loop written by hand: each child counts the newlines of its half with indexOf over 1 MiB reads. */
import { fork } from 'node:child_process'
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Two children that stay; `count(file)` gives the newlines of a file. */
export function startByHand() {
  const children = [0, 1].map(() => fork(fileURLToPath(import.meta.url), ['child']))
  return {
    async count(file) {
      const { size } = statSync(file)
      const half = Math.floor(size / 2)
      const ranges = [
        [0, half],
        [half, size],
      ]
      const counts = await Promise.all(children.map((child, i) => ask(child, [file, ...ranges[i]])))
      return counts[0] + counts[1]
    },
    stop() {
      for (const child of children) child.disconnect()
    },
  }
}

function ask(child, question) {
  return new Promise((resolve) => {
    child.once('message', resolve)
    child.send(question)
  })
}

function countNewlines(file, start, end) {
  const fd = openSync(file)
  const buffer = Buffer.allocUnsafeSlow(1024 * 1024)
  let lines = 0
  for (let at = start; at < end; ) {
    const read = readSync(fd, buffer, 0, Math.min(buffer.length, end - at), at)
    const chunk = buffer.subarray(0, read)
    for (let i = chunk.indexOf(10); i >= 0; i = chunk.indexOf(10, i + 1)) lines += 1
    at += read
  }
  closeSync(fd)
  return lines
}

if (process.argv[2] === 'child') {
  process.on('message', ([file, start, end]) => process.send(countNewlines(file, start, end)))
}

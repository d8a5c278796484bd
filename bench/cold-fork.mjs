/** The floor: a program that forks itself once, gets one answer, ends. */
import { fork } from 'node:child_process'

if (process.send === undefined) {
  const child = fork(new URL(import.meta.url))
  child.on('message', (answer) => {
    if (answer !== 42) throw new Error(`got ${answer}`)
    child.disconnect()
  })
  child.send(41)
} else {
  process.on('message', (n) => process.send(n + 1))
}

/** The plain script: a stream of text, split into lines, the same work per line. Prints the number of words. */
import { createReadStream } from 'node:fs'

const counts = new Map()
let rest = ''
for await (const chunk of createReadStream(process.argv[2], { encoding: 'utf8', highWaterMark: 1024 * 1024 })) {
  const lines = (rest + chunk).split('\n')
  rest = lines.pop()
  for (const line of lines)
    for (const word of line.split(/\W+/)) if (word) counts.set(word, (counts.get(word) ?? 0) + 1)
}
for (const word of rest.split(/\W+/)) if (word) counts.set(word, (counts.get(word) ?? 0) + 1)
console.log([...counts.values()].reduce((a, b) => a + b, 0))

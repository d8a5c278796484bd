/** encodeValue and decodeValue against v8.serialize and v8.deserialize: plain data, and a buffer of 64 MiB. */
import v8 from 'node:v8'
import { runInNewContext } from 'node:vm'
import { decodeValue, encodeValue } from '../dist/src/functions/codec.js'
import { rounds } from './measure.mjs'

/** Made when they are asked for: other benches, in a process that holds them, would pay for it at each collection. */
function casesOf() {
  const records = Array.from({ length: 10_000 }, (_, id) => ({
    id,
    name: `user ${id}`,
    active: id % 2 === 0,
    score: id * 1.5,
    tags: ['a', 'b'],
    place: { x: id, y: -id },
  }))
  return {
    records,
    'one record of 1e5 keys': Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => [`key${i}`, i])),
    '64 MiB': { bytes: Buffer.alloc(64 * 1024 * 1024, 7) },
  }
}

export async function codec() {
  // what one contestant leaves behind would be collected in the time of another, and always of the same
  v8.setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc')
  const ratios = {}
  for (const [name, value] of Object.entries(casesOf())) {
    const raw = () => v8.deserialize(v8.serialize(value))
    // as v8 reads: large views lie in the bytes that came
    const quern = () => decodeValue(encodeValue(value), { adopt: true })
    const times = await rounds({ raw, quern }, 9, () => gc({ type: 'minor' }))
    ratios[name] = times.raw / times.quern
  }
  return {
    what: 'values there and back, against v8.serialize',
    ours: Object.entries(ratios)
      .map(([name, ratio]) => `${name} ${ratio.toFixed(2)}×`)
      .join(', '),
    peer: 'v8.serialize and v8.deserialize 1×',
    ratio: ratios.records,
    goal: 0.8,
  }
}

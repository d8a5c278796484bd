import { Readable } from 'node:stream'
import { expect, it } from 'vitest'
import { collectBytes } from '../../src/core/bytes.ts'
import { exactBody } from '../../src/storage/http-body.ts'

const context = { backend: 'http', operation: 'get', bucket: 'b', key: 'k' }
const stream = () => Readable.from([Buffer.from('arbi'), Buffer.alloc(0), Buffer.from('trary')])

for (const [announced, outcome] of [
  [9, 'whole'],
  [undefined, 'whole'],
  [10, 'truncated'],
  [8, 'truncated'],
] as const) {
  it(`a body of 9 bytes announced as ${announced} is ${outcome}`, async () => {
    const reading = collectBytes(exactBody(stream(), announced, context, undefined))
    if (outcome === 'whole') expect(Buffer.from(await reading).toString()).toBe('arbitrary')
    else await expect(reading).rejects.toMatchObject({ code: 'BODY_TRUNCATED' })
  })
}

it('destroys the stream of a body that is left early', async () => {
  const source = stream()
  for await (const chunk of exactBody(source, 9, context, undefined)) {
    expect(chunk).toHaveLength(4)
    break
  }
  expect(source.destroyed).toBe(true)
})

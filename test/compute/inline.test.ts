import { expect, it } from 'vitest'
import { createInlineCompute } from '../../src/compute/inline.ts'
import { testComputeBackend } from '../conformance/compute-backend.ts'
import { performCommand } from '../conformance/compute-program.ts'

testComputeBackend('inline', ({ slots, waitingSlots }) =>
  createInlineCompute({
    slots,
    waitingSlots,
    run: (shared, payload, channel) => performCommand(shared.bytes, payload, channel),
  }),
)

it('inline compute tells nothing of an invocation after close has ended it', async () => {
  const told: string[] = []
  let release: () => void = () => undefined
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const compute = createInlineCompute({
    run: async (_shared, _payload, channel) => {
      channel.report(Buffer.from('begun'))
      await released
      channel.report(Buffer.from('late'))
    },
  })
  compute.listen({
    onMessage: (id, bytes) => told.push(`message ${id} ${Buffer.from(bytes)}`),
    onEnd: (id, death) => told.push(`end ${id} ${death?.reason}`),
  })
  await compute.invoke({ id: 1, shared: { id: 's', bytes: Buffer.of() }, payload: Buffer.of() })
  while (told.length === 0) await new Promise((resolve) => setImmediate(resolve))
  await compute.close()
  release()
  await new Promise((resolve) => setImmediate(resolve))
  expect(told).toEqual(['message 1 begun', 'end 1 closed'])
})

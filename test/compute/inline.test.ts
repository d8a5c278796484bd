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

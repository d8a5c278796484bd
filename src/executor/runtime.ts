/** What runs behind an executor: its compute backend, monitor and loop; started at the first job. */
import type { ComputeBackend } from '../compute/backend.ts'
import { systemClock } from '../core/clock.ts'
import type { ExecutorListener } from '../job/events.ts'
import { ChannelMonitor } from '../monitor/channel.ts'
import { RunLoop } from './run-loop.ts'

export interface Runtime {
  readonly compute: ComputeBackend
  readonly loop: RunLoop
}

export function startRuntime(compute: ComputeBackend, listener: ExecutorListener): Runtime {
  const loop = new RunLoop(compute, new ChannelMonitor(), systemClock)
  compute.listen({
    onMessage: loop.onMessage,
    onEnd: loop.onEnd,
    onOutput: (text, stream) => listener({ type: 'worker-output', at: Date.now(), text, stream }),
  })
  return { compute, loop }
}

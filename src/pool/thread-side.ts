/**
 * A worker thread's end of a ThreadLink.
 *
 * After its last answer a worker lingers: for a moment it waits for the next invocation without its event loop, which
 * saves both threads the way through theirs. It does so only when it runs nothing, after the loop has turned, and for so
 * short that timers and I/O of code it ran before hardly notice.
 */
import { workerData } from 'node:worker_threads'
import type { FrameHandler } from './framing.ts'
import type { ParentLink } from './parent-link.ts'
import { END, INVOKE, LEAVE } from './protocol.ts'
import { ThreadChannel, type ThreadEnds } from './thread-channel.ts'

const LINGER_MS = 0.2

/** Serves the driver until it says to leave; then the thread exits. Call once. */
export function connectThread(onFrame: FrameHandler): ParentLink {
  const { port, toWorker, toParent } = workerData as ThreadEnds
  let running = 0
  let lingering = false
  const channel = new ThreadChannel(port, toParent, toWorker, (type, id, payload, direct) => {
    if (type === INVOKE) running += 1
    else if (type === LEAVE) process.exit(0)
    onFrame(type, id, payload, direct)
  })
  const linger = () => {
    lingering = false
    if (running === 0) channel.linger(LINGER_MS)
  }
  return {
    send(type, id, payload, direct) {
      channel.send(type, id, payload, direct)
      if (type !== END) return
      running -= 1
      if (running > 0 || lingering) return
      lingering = true
      setImmediate(linger)
    },
    flush: () => channel.flush(),
  }
}

/** A worker's end of its line to the pool, in a process or in a thread: what runs behind it need not know which. */
import { isMainThread } from 'node:worker_threads'
import type { FrameHandler } from './framing.ts'
import type { ParentLink } from './parent-link.ts'
import { connectProcess } from './process-side.ts'
import { connectThread } from './thread-side.ts'

export type { ParentLink } from './parent-link.ts'

/** Serves the driver until it closes the channel or says to leave; then the worker exits. Call once. */
export function connectToParent(onFrame: FrameHandler): ParentLink {
  return isMainThread ? connectProcess(onFrame) : connectThread(onFrame)
}

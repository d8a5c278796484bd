/**
 * What a frame's type means between a pool and a worker. `id` is the invocation, except where noted.
 *
 *   pool → worker   START (once, first) · SHARED, DROP, USE (id: number of a shared part) · INVOKE · FEED · TELL
 *   worker → pool   READY (once, first) · MESSAGE · END · MEMORY · NEWS
 *
 * A worker runs one invocation at a time, with the shared part that SHARED or USE last named before its INVOKE. The pool
 * alone decides what a worker keeps: it drops what it evicts, so both sides always agree.
 *
 * A pool with `prefetch` sends INVOKEs while one runs. The worker runs them in the order they came; END of one precedes
 * whatever the next one says or does. A FEED comes only for the invocation that the pool takes for the running one.
 * END with RECYCLE as its payload asks to leave: the worker begins nothing more and is told to go.
 * START's id is the worker's memory limit in MiB, 0 for none. MEMORY's is what it holds, in MiB, when it finds itself over
 * that: it is ended. Where the pool can look from outside, it need not be told.
 * TELL and NEWS belong to no invocation, and come at any time after READY; their id is 0.
 */
export const START = 1
export const SHARED = 2
export const DROP = 3
export const USE = 4
export const INVOKE = 5
export const FEED = 6
/** Of the links themselves: to a thread, what the end of its channel is to a process. */
export const LEAVE = 7
export const TELL = 8

export const READY = 65
export const MESSAGE = 66
export const END = 67
export const MEMORY = 68
export const NEWS = 69

/** Descriptors of the channel in a worker process. */
export const CHANNEL_IN = 3
export const CHANNEL_OUT = 4

export const NO_BYTES = new Uint8Array(0)

/** Payload of an END after which the worker wants to be replaced. */
export const RECYCLE: Uint8Array = Uint8Array.of(1)

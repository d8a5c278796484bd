/**
 * What a frame's type means between a pool and a worker. `id` is the invocation, except where noted.
 *
 *   pool → worker   START (once, first) · SHARED, DROP, USE (id: number of a shared part) · INVOKE · FEED
 *   worker → pool   READY (once, first) · MESSAGE · END
 *
 * A worker runs one invocation at a time, with the shared part last named by SHARED or USE. The pool alone decides what
 * a worker keeps: it drops what it evicts, so both sides always agree.
 */
export const START = 1
export const SHARED = 2
export const DROP = 3
export const USE = 4
export const INVOKE = 5
export const FEED = 6

export const READY = 65
export const MESSAGE = 66
export const END = 67

/** Descriptors of the channel in a worker process. */
export const CHANNEL_IN = 3
export const CHANNEL_OUT = 4

export const NO_BYTES = new Uint8Array(0)

/**
 * What `memoryMiB` means for a worker: pure.
 *
 * Two limits hold. V8's heap may be as large (the worker is started so). And what the worker holds in all (heap, Buffers,
 * native memory), beyond what it held when it was ready, may be as large and OWN_MIB more: V8 keeps young objects and
 * code beside the heap that it limits. Between calls the worker is replaced from the limit on, before a call dies of it.
 */
const MIB = 1_048_576

/** V8's young generation is at most 48 MiB on 64-bit systems; the rest is for code and fragments. */
const OWN_MIB = 64

/** A killed worker that held so much of its limit died of memory, as far as anyone can tell. */
const NEAR = 0.9

/** Whether a worker that holds so much more than when it was ready must end, whatever it runs. */
export function isOver(heldBytes: number, memoryMiB: number): boolean {
  return heldBytes > (memoryMiB + OWN_MIB) * MIB
}

/** Whether it should be replaced before it runs another call. */
export function isSpent(heldBytes: number, memoryMiB: number): boolean {
  return heldBytes > memoryMiB * MIB
}

export function isNear(heldBytes: number, memoryMiB: number): boolean {
  return heldBytes > memoryMiB * NEAR * MIB
}

export function toBytes(mib: number): number {
  return mib * MIB
}

export function toMiB(bytes: number): number {
  return Math.round(bytes / MIB)
}

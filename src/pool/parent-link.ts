import type { Direct } from './worker-link.ts'

/** What a worker says to its pool. */
export interface ParentLink {
  /**
   * When it returns, the frame reaches the driver whatever becomes of this worker. `direct` (threads only) travels as it
   * is, beside the bytes. @throws ValidationError, SerializationError
   */
  send(type: number, id: number, payload: Uint8Array, direct?: Direct): void
  /** Makes the driver look now; otherwise it does when this turn ends, however long that takes. */
  flush(): void
}

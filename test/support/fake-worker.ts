import { END, INVOKE, NO_BYTES, READY } from '../../src/pool/protocol.ts'
import type { LinkEvents, SpawnProfile, WorkerExit, WorkerLink } from '../../src/pool/worker-link.ts'

/** A worker made of nothing: the test plays its part. */
export class FakeWorker implements WorkerLink {
  readonly pid = undefined
  readonly threadId = 7
  readonly profile: SpawnProfile
  readonly events: LinkEvents
  readonly sent: { type: number; id: number }[] = []
  /** What the next INVOKE throws. */
  refusal: Error | undefined
  killed = 0
  retired = 0

  constructor(profile: SpawnProfile, events: LinkEvents) {
    this.profile = profile
    this.events = events
  }

  send(type: number, id: number): void {
    if (type === INVOKE && this.refusal !== undefined) throw this.refusal
    this.sent.push({ type, id })
  }

  kill(): void {
    this.killed += 1
  }

  retire(): void {
    this.retired += 1
  }

  ready(): void {
    this.events.onFrame(READY, 0, NO_BYTES)
  }

  end(id: number, payload: Uint8Array = NO_BYTES): void {
    this.events.onFrame(END, id, payload)
  }

  exit(exit: Partial<WorkerExit> = {}): void {
    this.events.onExit({ stderrTail: '', ...exit })
  }

  get invoked(): number[] {
    return this.sent.filter(({ type }) => type === INVOKE).map(({ id }) => id)
  }
}

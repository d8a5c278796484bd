/** A job as it is launched: by the run of it, and by the loop that performs its calls. */
import type { Plan } from '../../partitioner/plan.ts'
import type { CloudObject } from '../core/cloud-object.ts'
import type { CallInput } from '../job/messages.ts'
import type { CallOutput } from '../job/output.ts'
import type { Pin } from '../storage/backend.ts'
import type { JobDivisions } from './divisions.ts'
import type { ItemStream } from './item-stream.ts'
import type { SchedulerJob } from './scheduler-protocol.ts'

/** What a job becomes once its source is known: how many calls, and the input of each. */
export interface LaunchedJob {
  readonly scheduler: SchedulerJob
  readonly shared: { readonly id: string; readonly bytes: Uint8Array }
  readonly plan?: Plan | undefined
  pinOf?(object: CloudObject): Pin
  /** @throws SerializationError when the call's item cannot travel */
  inputOf(call: number): CallInput
  /** Under which id a call is committed, where that is not its own. */
  commitOf?: ((call: number) => string) | undefined
  /** Where its items are read while it runs. */
  readonly items?: ItemStream | undefined
  /** Where its calls may be divided. */
  readonly divisions?: JobDivisions | undefined
  /** Where calls write outputs: what each is to write. */
  outputOf?(call: number): CallOutput
  /** Awaited when all calls have ended well, before the job has. */
  conclude?(): Promise<void>
  /** Removes what workers that are gone left half-written where they wrote outputs. */
  sweep?(): Promise<void>
}

/** What an executor tells its listeners (progress bars, summaries, tests): one union, told apart by `type`. */
import type { Certificate } from '../../partitioner/coverage.ts'
import type { Plan } from '../../partitioner/plan.ts'

/** `at` is epoch ms. */
export type ExecutorEvent =
  | {
      readonly type: 'job-created'
      readonly at: number
      readonly jobId: string
      readonly kind: 'call' | 'map' | 'reduce'
      readonly name: string
      readonly silent: boolean
    }
  /** While objects are listed, or read from an inventory or a key list: what was found so far. */
  | {
      readonly type: 'job-selecting'
      readonly at: number
      readonly jobId: string
      readonly objects: number
      readonly bytes: number
      readonly requests: number
    }
  | {
      readonly type: 'job-planned'
      readonly at: number
      readonly jobId: string
      readonly callCount: number
      readonly bytes: number
      readonly plan?: Plan | undefined
      /** True where more calls may come: `job-extended`. */
      readonly open?: boolean | undefined
    }
  /** Calls of a job whose items are read while it runs: `callCount` so far, in all where it is not `open` any more. */
  | {
      readonly type: 'job-extended'
      readonly at: number
      readonly jobId: string
      readonly callCount: number
      readonly open: boolean
    }
  /** A call gave a part of its input to a new one: `callCount` calls now. */
  | {
      readonly type: 'call-divided'
      readonly at: number
      readonly jobId: string
      readonly call: number
      readonly callCount: number
    }
  | { readonly type: 'call-started'; readonly at: number; readonly jobId: string; readonly call: number }
  | {
      readonly type: 'call-progress'
      readonly at: number
      readonly jobId: string
      readonly call: number
      readonly bytesRead: number
    }
  | {
      readonly type: 'call-log'
      readonly at: number
      readonly jobId: string
      readonly call: number
      readonly text: string
      readonly stream: 'stdout' | 'stderr'
    }
  | {
      readonly type: 'call-ended'
      readonly at: number
      readonly jobId: string
      readonly call: number
      readonly outcome: 'succeeded' | 'failed' | 'cancelled'
      readonly bytesRead: number
      readonly runMs: number
    }
  | {
      readonly type: 'job-ended'
      readonly at: number
      readonly jobId: string
      readonly outcome: 'succeeded' | 'failed' | 'cancelled'
      readonly certificate?: Certificate | undefined
    }
  /** For people: something is not as it could be. */
  | { readonly type: 'warning'; readonly at: number; readonly text: string }
  | { readonly type: 'worker-output'; readonly at: number; readonly text: string; readonly stream: 'stdout' | 'stderr' }

export type ExecutorListener = (event: ExecutorEvent) => void

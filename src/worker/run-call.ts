/**
 * Runs one call: makes its input, calls the user's function, and gives its end as a report. Never rejects: whatever goes
 * wrong is the call's failure and nobody else's.
 *
 * The reader of partitions is loaded when a call has one: most of a worker's start-up would be spent on it.
 */
import type { ReadAhead } from '../../partitioner/prefetch.ts'
import type { ReadReport } from '../../partitioner/read.ts'
import type { Reducer } from '../../reducers/reducer.ts'
import { SerializationError } from '../core/errors.ts'
import { callId } from '../core/ids.ts'
import type { RequestTally } from '../core/tally.ts'
import { decodeValue, decodeValueWith, encodeValue } from '../functions/codec.ts'
import { encodeError } from '../functions/error-codec.ts'
import { loadingFunctions } from '../functions/load-function.ts'
import type { CallSpec, Report } from '../job/messages.ts'
import type { BackendResolver } from '../storage/backend.ts'
import type { Storage } from '../storage/storage.ts'
import { withTally } from '../storage/with-tally.ts'
import type { LoadedJob } from './loaded-job.ts'
import { CallMeasure, type ProcessMeter } from './measure.ts'
import { collectInputs, ReduceFeed } from './reduce-feed.ts'
import { CallTask } from './task-context.ts'
import { Turns } from './turns.ts'

const PROGRESS_EVERY_MS = 100

/** What the composition root gives to every call. */
export interface WorkerServices {
  readonly resolveBackend: BackendResolver
  /** The executor's storage, connected at first use; its requests are counted in the tally. */
  openStorage(reference: LoadedJob['head']['storage'], tally: () => RequestTally): Storage
  /** Shared by all readers of the process. */
  readonly readAhead?: ReadAhead | undefined
}

/** What the invocation gives to a call. */
export interface CallSurroundings {
  readonly job: LoadedJob
  readonly services: WorkerServices
  readonly meter: ProcessMeter
  report(report: Report): void
  signal(): AbortSignal
  /** @throws CancelledError when the call was aborted */
  throwIfAborted(): void
  /** A reduce call takes its feed from here on. */
  feedInto(feed: ReduceFeed): void
}

type UserFunction = (...args: unknown[]) => unknown

interface CallState {
  readonly spec: CallSpec
  readonly around: CallSurroundings
  readonly measure: CallMeasure
  readonly failedInputs: string[]
  /** Asked when the function has returned. */
  readReport?: () => ReadReport
}

export async function runCall(spec: CallSpec, around: CallSurroundings): Promise<Report> {
  const state: CallState = { spec, around, measure: new CallMeasure(around.meter), failedInputs: [] }
  const { call } = spec
  try {
    const result = encodeResult(await perform(state), state)
    const read = takeReadReport(state)
    const stats = state.measure.finish(result.byteLength)
    return { type: 'succeeded', call, result, stats, ...(read === undefined ? {} : { read }) }
  } catch (error) {
    takeReadReport(state)
    return { type: 'failed', call, error: encodeError(error), stats: state.measure.finish(0) }
  }
}

async function perform(state: CallState): Promise<unknown> {
  const { job } = state.around
  const target = await job.target
  if (state.spec.input.type === 'results') return reduce(target, state, state.spec.input.count)
  const input = await makeInput(state)
  return runFunction(requireFunction(target, job), input, state)
}

async function runFunction(fn: UserFunction, input: unknown, state: CallState): Promise<unknown> {
  const { job } = state.around
  const given = job.extraArgs()
  const args = given instanceof Promise ? await given : given
  const task = makeTask(state)
  // aborted while function and input were made ready: the user's code need not begin
  state.around.throwIfAborted()
  state.measure.beginRun()
  try {
    return await (args.length === 0 ? fn(input, task) : fn(input, ...args, task))
  } finally {
    state.measure.endRun()
  }
}

async function makeInput(state: CallState): Promise<unknown> {
  const { input } = state.spec
  if (input.type === 'item') return decodeValueWith(input.value, { ...loadingFunctions, adopt: true })
  if (input.type !== 'partition') throw new Error(`a ${input.type} input is no input of a map`)
  const { job, services } = state.around
  const { read } = job.head
  if (read === undefined) throw new Error(`job ${job.head.jobId} has partitions but does not say how they are read`)
  const { openPartition } = await import('../../partitioner/read.ts')
  const partition = openPartition(input.partition, {
    backend: withTally(await services.resolveBackend(input.partition.object.backend), state.measure.tally),
    read,
    edges: input.edges,
    signal: state.around.signal(),
    onBytes: countBytes(state),
    requests: { readAhead: services.readAhead },
  })
  state.readReport = () => partition.report()
  return partition
}

function countBytes({ measure, around, spec }: CallState): (bytes: number) => void {
  let reportedAt = performance.now()
  return (bytes) => {
    measure.bytesRead += bytes
    const now = performance.now()
    if (now - reportedAt < PROGRESS_EVERY_MS) return
    reportedAt = now
    around.report({ type: 'progress', call: spec.call, bytesRead: measure.bytesRead })
  }
}

async function reduce(target: unknown, state: CallState, count: number): Promise<unknown> {
  const { around, spec } = state
  const feed = new ReduceFeed(count, (consumed) => around.report({ type: 'consumed', call: spec.call, consumed }))
  around.feedInto(feed)
  if (around.job.head.reducer !== true) {
    const fn = requireFunction(target, around.job)
    return runFunction(fn, await collectInputs(feed, state.failedInputs), state)
  }
  state.measure.beginRun()
  try {
    return await fold(target as Reducer<unknown, unknown, unknown>, feed, state.failedInputs)
  } finally {
    state.measure.endRun(feed.waitedMs)
  }
}

async function fold(reducer: Reducer<unknown, unknown, unknown>, feed: ReduceFeed, failedInputs: string[]) {
  const ordered = reducer.commutative !== true
  const turns = new Turns()
  let acc = reducer.initial()
  for (let batch = await feed.nextBatch(ordered); batch !== undefined; batch = await feed.nextBatch(ordered)) {
    for (const input of batch) {
      if (input.type === 'absent') failedInputs.push(input.callId)
      else acc = await reducer.add(acc, decodeValue(input.value, { adopt: true }))
      if (turns.due) await turns.turn()
    }
  }
  return reducer.finish(acc)
}

function makeTask({ around, spec, failedInputs, measure }: CallState): CallTask {
  const { head } = around.job
  return new CallTask({
    head,
    spec,
    failedInputs,
    signal: around.signal,
    openStorage: () => around.services.openStorage(head.storage, () => measure.tally),
    log: (text, stream) => around.report({ type: 'log', call: spec.call, text, stream }),
  })
}

function encodeResult(value: unknown, { around, spec }: CallState): Uint8Array {
  const name = `${around.job.head.jobId}/${callId(spec.call)}`
  try {
    return encodeValue(value, 'result')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new SerializationError(`call ${name} returned what cannot travel: ${why}`, { cause })
  }
}

function takeReadReport({ readReport, measure }: CallState): ReadReport | undefined {
  const report = readReport?.()
  measure.recordsRead = report?.records ?? 0
  return report
}

function requireFunction(target: unknown, { head }: LoadedJob): UserFunction {
  if (typeof target === 'function') return target as UserFunction
  throw new SerializationError(`what job ${head.jobId} shipped is no function but ${typeof target}`)
}

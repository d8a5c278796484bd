/** What `callAsync`, `map` and `mapReduce` do: check what is given, ship the functions, hand the job to the engine. */
import type { Plan } from '../../partitioner/plan.ts'
import { isReducer, type Reducer } from '../../reducers/reducer.ts'
import { type MapSettings, parseOptions } from '../config/options.ts'
import { ValidationError } from '../core/errors.ts'
import { captureFunction } from '../functions/capture.ts'
import { captureReducer } from '../functions/capture-reducer.ts'
import type { CallFutures } from './call-futures.ts'
import type { Engine } from './engine.ts'
import { type Assemble, Job, MapReduceJob } from './job.ts'
import type { JobRun } from './job-run.ts'
import { sourceKind } from './launch.ts'
import type { ResponseFuture } from './response-future.ts'

type AnyFunction = (...args: never[]) => unknown
export type AnyReducer = Reducer<unknown, unknown, unknown>

/** What was submitted: its run (of the reduce, where there is one) and what the user is given of it. */
export interface Submitted<F> {
  readonly run: JobRun
  readonly future: F
}

/** @throws ValidationError, SerializationError */
export function submitCall<R>(
  engine: Engine,
  fn: (data: never, ...rest: never[]) => unknown,
  data: unknown,
  options: unknown,
): Submitted<ResponseFuture<R>> {
  const settings = parseOptions('call', options, 'callAsync options')
  engine.warm(settings.runtimeMemoryMiB, 1)
  const shipped = captureFunction(fn, 'callAsync function')
  const run = engine.newRun('A', fn, { silent: true, memoryMiB: settings.runtimeMemoryMiB })
  run.calls.table.append(1)
  const future = run.calls.future<R>(0)
  const source = { kind: 'items' as const, value: [data], partition: {}, where: '' }
  engine.submit(source, { run, shipped, settings, extraArgs: [] })
  return { run, future }
}

/** @throws ValidationError, SerializationError */
export function submitMap(
  engine: Engine,
  fn: AnyFunction,
  source: unknown,
  options: unknown,
): Submitted<Job<unknown[], unknown>> {
  const settings = parseOptions('map', options, 'map options')
  const from = readableSource(source, 'map', settings)
  engine.warm(settings.runtimeMemoryMiB)
  const shipped = captureFunction(fn, 'map function')
  const silent = settings.showProgressbar === false
  const run = engine.newRun('M', fn, { silent, memoryMiB: settings.runtimeMemoryMiB })
  const future = mapJob(run)
  engine.submit(from, { run, shipped, settings, extraArgs: settings.extraArgs ?? [] })
  return { run, future }
}

/** @throws ValidationError, SerializationError */
export function submitMapReduce(
  engine: Engine,
  map: AnyFunction,
  source: unknown,
  reduce: AnyFunction | AnyReducer,
  options: unknown,
): Submitted<MapReduceJob<unknown, unknown, unknown>> {
  const settings = parseOptions('mapReduce', options, 'mapReduce options')
  const from = readableSource(source, 'mapReduce', settings)
  const { objReduceByKey: byKey = false, spawnReducer, runtimeMemoryMiB } = settings
  if (byKey && from.kind === 'items') {
    throw new ValidationError('mapReduce options.objReduceByKey: needs objects("…") or a plan as the source, got items')
  }
  const mapMemory = settings.mapRuntimeMemoryMiB ?? runtimeMemoryMiB
  const reduceMemory = settings.reduceRuntimeMemoryMiB ?? runtimeMemoryMiB
  engine.warm(mapMemory)
  const shippedMap = captureFunction(map, 'mapReduce map function')
  const folds = isReducer(reduce) ? { commutative: reduce.commutative === true } : undefined
  const capture = isReducer(reduce) ? captureReducer : captureFunction
  const shippedReduce = capture(reduce as never, 'mapReduce reduce function')
  const silent = settings.showProgressbar === false
  const mapRun = engine.newRun('M', map, { silent, memoryMiB: mapMemory })
  mapRun.keepsResults = true
  const run = engine.newRun('R', reduce, { silent, memoryMiB: reduceMemory, sameNumber: true })
  const future = mapReduceJob(mapRun, run, () => byKey)
  engine.submit(
    from,
    { run: mapRun, shipped: shippedMap, settings, extraArgs: settings.extraArgs ?? [] },
    { run, shipped: shippedReduce, settings, extraArgs: settings.extraArgsReduce ?? [], byKey, spawnReducer, folds },
  )
  return { run, future }
}

/** The job of a map alone, as the user holds it. */
export function mapJob(run: JobRun): Job<unknown[], unknown> {
  return new Job<unknown[], unknown>(run, allResults)
}

/** The job of a reduce over a map, as the user holds it; where `isByKey`, which is asked when it is read, its result is a Map from object URL to value. */
export function mapReduceJob(
  mapRun: JobRun,
  reduceRun: JobRun,
  isByKey: () => boolean,
): MapReduceJob<unknown, unknown, unknown> {
  const maps = mapJob(mapRun)
  const assemble: Assemble<unknown> = async (calls) =>
    isByKey() ? valuesByUrl(await maps.planned(), calls) : calls.read(0)
  return new MapReduceJob<unknown, unknown, unknown>(reduceRun, assemble, maps)
}

/** @throws ValidationError for no source, and for partition options on what is not partitioned */
function readableSource(value: unknown, method: string, settings: MapSettings) {
  const kind = sourceKind(value, `${method} source`)
  const [option] = Object.keys(settings.partition)
  if (kind === 'items' && option !== undefined) {
    throw new ValidationError(
      `${method} options.${option}: only objects("…") and plans are partitioned, the source is items`,
    )
  }
  if (kind === 'items') refuseDivisions(settings, method)
  return { kind, value, partition: settings.partition, where: `${method} options` }
}

function refuseDivisions({ onFailure, splittable }: MapSettings, method: string): void {
  const option = onFailure !== undefined ? 'onFailure' : splittable === true ? 'splittable' : undefined
  if (option === undefined) return
  throw new ValidationError(
    `${method} options.${option}: only partitions of objects("…") and plans can be divided, the source is items`,
  )
}

/** `undefined` where a failure was tolerated. */
async function allResults(calls: CallFutures): Promise<unknown[]> {
  return Array.from(calls.order(), (call) => calls.read(call))
}

/** Reduce calls stand in the order in which their objects first appear in the plan. */
async function valuesByUrl(plan: Plan, calls: CallFutures): Promise<Map<string, unknown>> {
  const urls = new Set(plan.partitions.map(({ object }) => object.url))
  const values = await allResults(calls)
  return new Map([...urls].map((url, i) => [url, values[i]]))
}

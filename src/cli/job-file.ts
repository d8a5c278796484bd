/** What a job file exports: `export default job({ input, map, reduce, options })`, checked where it is written. */

import type { ObjectPartition } from '../../partitioner/partition.ts'
import type { PartitionOptions } from '../../partitioner/plan.ts'
import type { ObjectReference, ObjectSelection } from '../../partitioner/select.ts'
import { isReducer, type Reducer } from '../../reducers/reducer.ts'
import { parseOptions } from '../config/options.ts'
import { parseOutput } from '../config/output-options.ts'
import { ValidationError } from '../core/errors.ts'
import { isRecord } from '../core/fields.ts'
import { nearestName } from '../core/nearest.ts'
import type { MapOptions, MapReduceOptions, OutputOptions } from '../executor/options.ts'
import type { MapFunction, ReduceFunction } from '../executor/signatures.ts'

/** Shared between copies of the package: the file's `quern` and the command's need not be the same. */
const JOB_FILE: unique symbol = Symbol.for('quern.job-file')
const KEYS = ['input', 'map', 'reduce', 'options', 'output']

type NoArgs = readonly []

export interface MapJobFile<R> {
  /** What is read where `--input` does not say. */
  readonly input?: ObjectReference | readonly ObjectReference[] | ObjectSelection | undefined
  /** Runs in a worker, once per partition; may use anything in its file. */
  readonly map: MapFunction<ObjectPartition, R, NoArgs>
  readonly reduce?: undefined
  readonly options?: (MapOptions<NoArgs> & PartitionOptions) | undefined
  /** Where the results go as objects of their own, as `options.output`. */
  readonly output?: string | OutputOptions | undefined
}

export interface MapReduceJobFile<R, Acc, Out> extends Omit<MapJobFile<R>, 'reduce' | 'options'> {
  readonly reduce: ReduceFunction<NoInfer<R>, Out, NoArgs> | Reducer<NoInfer<R>, Acc, Out>
  readonly options?: (MapReduceOptions<NoArgs, NoArgs> & PartitionOptions) | undefined
}

export type JobFile = MapJobFile<unknown> | MapReduceJobFile<unknown, unknown, unknown>

/**
 * The job of a job file, frozen; `quern run` runs it.
 * @throws ValidationError naming what does not fit
 */
export function job<R, Acc, Out>(definition: MapReduceJobFile<R, Acc, Out>): MapReduceJobFile<R, Acc, Out>
export function job<R>(definition: MapJobFile<R>): MapJobFile<R>
export function job(definition: object): object {
  check(definition)
  return Object.freeze(Object.defineProperty({ ...definition }, JOB_FILE, { value: true }))
}

export function isJobFile(value: unknown): value is JobFile {
  return typeof value === 'object' && value !== null && JOB_FILE in value
}

function check(definition: object): void {
  if (typeof definition !== 'object' || definition === null) {
    throw new ValidationError(`job: expected an object, got ${String(definition)}`)
  }
  for (const key of Object.keys(definition)) {
    if (!KEYS.includes(key)) {
      const nearest = nearestName(key, KEYS)
      const hint = nearest === undefined ? `expected ${KEYS.join(', ')}` : `did you mean '${nearest}'?`
      throw new ValidationError(`job.${key}: unknown key, ${hint}`)
    }
  }
  const { map, reduce, options, output } = definition as Record<string, unknown>
  if (typeof map !== 'function') throw new ValidationError(`job.map: expected a function, got ${typeof map}`)
  if (reduce !== undefined && typeof reduce !== 'function' && !isReducer(reduce)) {
    throw new ValidationError(`job.reduce: expected a function or a Reducer, got ${typeof reduce}`)
  }
  parseOptions(reduce === undefined ? 'map' : 'mapReduce', options, 'job.options')
  if (output === undefined) return
  if (isRecord(options) && options.output !== undefined) {
    throw new ValidationError('job.output: expected one output, got job.options.output too')
  }
  parseOutput(output, 'job.output')
}

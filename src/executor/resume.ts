/** `executor.resume`: the runs of a job that began elsewhere, under the ids it had there, and what is launched of them. */
import { parseUpkeep } from '../config/upkeep-options.ts'
import { ValidationError } from '../core/errors.ts'
import { show } from '../core/fields.ts'
import { parseJobName } from '../job/keys.ts'
import type { Engine } from './engine.ts'
import type { Job } from './job.ts'
import type { JobRun } from './job-run.ts'
import { mapJob, mapReduceJob, type Submitted } from './submissions.ts'

/** The runs of a resumed job; what is not known before its journal is read is filled in then. */
export interface ResumedRuns {
  readonly map: JobRun
  reduce?: JobRun | undefined
  byKey: boolean
}

/**
 * Goes on with a job by its name, `{executorId}-{jobId}`. By the name of a map-reduce's map, its map's results.
 * @throws ValidationError for what is no name of a job
 */
export function submitResume(engine: Engine, name: string, options: unknown): Submitted<Job<unknown, unknown>> {
  const settings = parseUpkeep('resume', options)
  const { executorId, jobId, letter } = jobNamed(name)
  const number = jobId.slice(1)
  const map = engine.resumedRun('map', executorId, `M${number}`)
  if (letter === 'M') {
    engine.resume(name, settings, { map, byKey: false })
    return { run: map, future: mapJob(map) as Job<unknown, unknown> }
  }
  map.keepsResults = true
  const runs = { map, reduce: engine.resumedRun('reduce', executorId, jobId), byKey: false }
  const future = mapReduceJob(map, runs.reduce, () => runs.byKey)
  engine.resume(name, settings, runs)
  return { run: runs.reduce, future: future as Job<unknown, unknown> }
}

/** @throws ValidationError */
export function jobNamed(name: unknown): { executorId: string; jobId: string; letter: string } {
  const parsed = typeof name === 'string' ? parseJobName(name) : undefined
  if (parsed !== undefined && parsed.letter !== 'A') return parsed
  throw new ValidationError(`job: expected the name of a map or mapReduce, as 'a1b2c3d4e5f6-0-M000', got ${show(name)}`)
}

/**
 * A job in a terminal, from its submission to its result: what `quern run` and `quern resume` have in common. Ctrl-C
 * cancels what runs and waits until workers and journal are left in order; the job can then be resumed.
 */

import { toJsonData } from '../core/json-data.ts'
import type { CliContext, CliExecutor, CliJob, ExitCode, SetAsideRecord } from './context.ts'
import { formatResult } from './format-result.ts'
import { executorOptions, type JobFlags } from './job-flags.ts'
import { printable } from './storage-ls.ts'

const ROWS_ON_TERMINAL = 20
const RECORDS_SHOWN = 10

export interface RunFlags extends JobFlags {
  readonly progress: boolean
}

/** Runs what `begin` submits, prints its result. @throws what the job fails with, once the executor is shut down */
export async function runToEnd(
  flags: RunFlags,
  context: CliContext,
  begin: (executor: CliExecutor) => CliJob,
): Promise<ExitCode> {
  let interrupted = false
  let job: CliJob | undefined
  const stopListening = context.onInterrupt(() => {
    interrupted = true
    job?.cancel({ running: true })
  })
  try {
    const executor = await context.openExecutor({ ...executorOptions(flags), showProgressbar: flags.progress })
    let failure: { readonly error: unknown } | undefined
    try {
      if (!interrupted) job = begin(executor)
      if (job !== undefined) printResult(await job, flags, context)
      if (job !== undefined) saySetAside(await job.quarantined(), context)
    } catch (error) {
      failure = { error }
    } finally {
      await executor.shutdown({ cancelFutures: interrupted })
    }
    // a job may have come to its end all the same
    if (interrupted && (failure !== undefined || job === undefined)) return sayInterrupted(job, flags, context)
    if (failure === undefined) return 0
    if (job?.durable && !flags.json)
      context.stderr.write(`what is done is kept: ${wayOn(job, flags)} tries the rest again\n`)
    throw failure.error
  } finally {
    stopListening()
  }
}

/** The first of them one by one; `job.quarantined()` gives all, with their bytes. */
function saySetAside(records: readonly SetAsideRecord[], { stderr }: CliContext): void {
  if (records.length === 0) return
  stderr.write(
    `set aside, as the function fails on them: ${records.length} ${records.length === 1 ? 'record' : 'records'}\n`,
  )
  for (const { object, range, error } of records.slice(0, RECORDS_SHOWN)) {
    stderr.write(`  ${object.url} [${range.start}, ${range.end}): ${printable(error.message)}\n`)
  }
  if (records.length > RECORDS_SHOWN) stderr.write(`  and ${records.length - RECORDS_SHOWN} more\n`)
}

/** The way on is a line of its own, so that it can be copied. */
function sayInterrupted(job: CliJob | undefined, flags: JobFlags, { stderr }: CliContext): ExitCode {
  stderr.write('interrupted: the job was cancelled\n')
  if (job?.durable) stderr.write(`resume with: ${wayOn(job, flags)}\n`)
  return 130
}

function wayOn({ name }: CliJob, { config }: JobFlags): string {
  return `quern resume ${name}${config === undefined ? '' : ` --config ${config}`}`
}

/** On stdout: as people read it, or as JSON. */
export function printResult(result: unknown, flags: JobFlags, { stdout }: CliContext): void {
  const text = flags.json
    ? JSON.stringify(toJsonData(result), null, 2)
    : formatResult(result, { limit: stdout.isTTY ? ROWS_ON_TERMINAL : undefined })
  stdout.write(`${text}\n`)
}

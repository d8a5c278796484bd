/** `quern run JOB.ts`: the job file over its objects; the result on stdout, everything else on stderr. */

import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { messageOf } from '../core/errors.ts'
import type { CliContext, CliExecutor, CliJob, ExitCode } from './context.ts'
import { UsageError } from './failures.ts'
import {
  addExecutorFlags,
  addSourceFlags,
  type JobFlags,
  partitionOptions,
  percentage,
  reduceOptions,
  sourceFlags,
} from './job-flags.ts'
import { selectionOf } from './job-source.ts'
import { type LoadedJob, loadJob } from './load-job.ts'
import { type RunFlags, runToEnd } from './run-to-end.ts'

interface OutputFlags {
  readonly output?: string
  readonly replace?: boolean
}

export function addRun(program: Command, context: CliContext, done: (code: ExitCode) => void): void {
  const command = program.command('run').description('run a job file and print its result')
  command.argument('<job>', 'TypeScript or JavaScript file: export default job({ input, map, reduce, options })')
  addExecutorFlags(addSourceFlags(command))
    .option('--spawn-reducer <percent>', 'start the reduce when this percent of the maps has ended', percentage)
    .option('--obj-reduce-by-key', 'one reduce per object')
    .option('--plan <file>', 'run this plan, made by quern plan --json')
    .option('--output <prefix>', 'write the results as objects under this prefix: s3://bucket/results/, a folder')
    .option('--replace', 'replace outputs that are there')
    .option('--no-progress', 'no progress bar')
    .action(async (path: string, flags: RunFlags & OutputFlags) => done(await run(path, flags, context)))
}

async function run(path: string, flags: RunFlags & OutputFlags, context: CliContext): Promise<ExitCode> {
  const job = await loadJob(path, context.cwd)
  const source = await sourceOf(job, flags, context)
  return runToEnd(flags, context, (executor) => submit(executor, job, source, flags))
}

function submit(executor: CliExecutor, job: LoadedJob, source: unknown, flags: JobFlags & OutputFlags): CliJob {
  const output = outputOption(job.options.output, flags)
  const options = { ...job.options, ...partitionOptions(flags), ...reduceOptions(flags), ...output }
  return job.reduce === undefined
    ? executor.map(job.map, source, options)
    : executor.mapReduce(job.map, source, job.reduce, options)
}

/** The job's own output with what the flags say of it; empty where neither says anything. */
function outputOption(own: unknown, { output, replace }: OutputFlags): { output?: unknown } {
  if (output === undefined && replace === undefined) return {}
  if (output === undefined && own === undefined) {
    throw new UsageError('--replace: the job file has no output, give --output')
  }
  const given = typeof own === 'string' ? { to: own } : (own as Readonly<Record<string, unknown>> | undefined)
  const ifExists = replace === undefined ? {} : { ifExists: 'replace' }
  return { output: { ...given, ...(output === undefined ? {} : { to: output }), ...ifExists } }
}

/** What is read: `--plan`, else what the flags select, else the job's own input. */
async function sourceOf(job: LoadedJob, flags: JobFlags, context: CliContext): Promise<unknown> {
  if (flags.plan !== undefined) {
    const [given = Object.keys(partitionOptions(flags)).length > 0 ? '--obj-…' : undefined] = sourceFlags(flags)
    if (given !== undefined) {
      throw new UsageError(`--plan already says what is read and how it is cut: give it without ${given}`)
    }
    return readPlan(resolve(context.cwd, flags.plan))
  }
  const selection = selectionOf(flags, job.input)
  if (selection === undefined) throw new UsageError('nothing to read: give --input, or an input in the job file')
  return selection
}

async function readPlan(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch (cause) {
    const message = messageOf(cause)
    throw new UsageError(`--plan ${file}: not a plan: ${message}`, { cause })
  }
}

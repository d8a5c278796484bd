/** `quern run JOB.ts`: the job file over its objects; the result on stdout, everything else on stderr. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { isObjectSelection, objects } from '../../partitioner/select.ts'
import type { CliContext, CliExecutor, CliJob, ExitCode } from './context.ts'
import { UsageError } from './failures.ts'
import { formatResult } from './format-result.ts'
import {
  addExecutorFlags,
  addSourceFlags,
  executorOptions,
  type JobFlags,
  partitionOptions,
  percentage,
  reduceOptions,
} from './job-flags.ts'
import { toJsonData } from './json.ts'
import { type LoadedJob, loadJob } from './load-job.ts'

const ROWS_ON_TERMINAL = 20

interface RunFlags extends JobFlags {
  readonly progress: boolean
}

export function addRun(program: Command, context: CliContext, done: (code: ExitCode) => void): void {
  const command = program.command('run').description('run a job file and print its result')
  command.argument('<job>', 'TypeScript or JavaScript file: export default job({ input, map, reduce, options })')
  addExecutorFlags(addSourceFlags(command))
    .option('--spawn-reducer <percent>', 'start the reduce when this percent of the maps has ended', percentage)
    .option('--obj-reduce-by-key', 'one reduce per object')
    .option('--plan <file>', 'run this plan, made by quern plan --json')
    .option('--no-progress', 'no progress bar')
    .action(async (path: string, flags: RunFlags) => done(await run(path, flags, context)))
}

async function run(path: string, flags: RunFlags, context: CliContext): Promise<ExitCode> {
  const job = await loadJob(path, context.cwd)
  const source = await sourceOf(job, flags, context)
  const executor = await context.openExecutor({ ...executorOptions(flags), showProgressbar: flags.progress })
  let interrupted = false
  let running: CliJob | undefined
  const stopListening = context.onInterrupt(() => {
    interrupted = true
    running?.cancel({ running: true })
  })
  try {
    running = submit(executor, job, source, flags)
    printResult(await running, flags, context)
    return interrupted ? 130 : 0
  } catch (error) {
    if (!interrupted) throw error
    context.stderr.write('interrupted: the job was cancelled\n')
    return 130
  } finally {
    await executor.shutdown({ cancelFutures: interrupted })
    stopListening()
  }
}

function submit(executor: CliExecutor, job: LoadedJob, source: unknown, flags: JobFlags): CliJob {
  const options = { ...job.options, ...partitionOptions(flags), ...reduceOptions(flags) }
  return job.reduce === undefined
    ? executor.map(job.map, source, options)
    : executor.mapReduce(job.map, source, job.reduce, options)
}

/** What is read: `--plan`, else `--input`, else the job's own input. */
async function sourceOf(job: LoadedJob, flags: JobFlags, context: CliContext): Promise<unknown> {
  if (flags.plan !== undefined) {
    if (flags.input !== undefined || Object.keys(partitionOptions(flags)).length > 0) {
      throw new UsageError('--plan already says what is read and how it is cut: give it without --input and --obj-…')
    }
    return readPlan(resolve(context.cwd, flags.plan))
  }
  const input = flags.input ?? job.input
  if (input === undefined) throw new UsageError('nothing to read: give --input, or an input in the job file')
  return isObjectSelection(input) ? input : objects(input)
}

async function readPlan(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(`--plan ${file}: not a plan: ${message}`, { cause })
  }
}

function printResult(result: unknown, flags: JobFlags, { stdout }: CliContext): void {
  const text = flags.json
    ? JSON.stringify(toJsonData(result), null, 2)
    : formatResult(result, { limit: stdout.isTTY ? ROWS_ON_TERMINAL : undefined })
  stdout.write(`${text}\n`)
}

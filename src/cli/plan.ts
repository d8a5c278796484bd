/** `quern plan`: what would run, without running it. */
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Plan } from '../../partitioner/plan.ts'
import type { SelectingProgress } from '../../partitioner/select.ts'
import { createProgressBar } from '../report/progress-bar.ts'
import type { CliContext, ExitCode } from './context.ts'
import { UsageError } from './failures.ts'
import { formatPlan } from './format-plan.ts'
import { addExecutorFlags, addSourceFlags, executorOptions, type JobFlags, partitionOptions } from './job-flags.ts'
import { selectionOf } from './job-source.ts'
import { loadJob } from './load-job.ts'

const PARTITION_OPTIONS = ['objChunkSize', 'objChunkNumber', 'objNewline', 'compression']

interface PlanFlags extends JobFlags {
  readonly output?: string
  readonly progress: boolean
}

export function addPlan(program: Command, context: CliContext, done: (code: ExitCode) => void): void {
  const command = program
    .command('plan')
    .description('print what a job would read: objects, partitions, requests, cost')
  command.argument('[job]', 'job file; not needed with --input')
  addExecutorFlags(addSourceFlags(command))
    .option('-o, --output <file>', 'write the plan as JSON, for quern run --plan')
    .option('--no-progress', 'no progress bar')
    .action(async (path: string | undefined, flags: PlanFlags) => done(await plan(path, flags, context)))
}

async function plan(path: string | undefined, flags: PlanFlags, context: CliContext): Promise<ExitCode> {
  const job = path === undefined ? undefined : await loadJob(path, context.cwd)
  const selection = selectionOf(flags, job?.input)
  if (selection === undefined) throw new UsageError('nothing to plan: give --input, or a job file with an input')
  const own = Object.entries(job?.options ?? {}).filter(([name]) => PARTITION_OPTIONS.includes(name))
  const executor = await context.openExecutor(executorOptions(flags))
  try {
    const options = { ...Object.fromEntries(own), ...partitionOptions(flags) }
    const made = await watched(flags, context, (onProgress) => executor.plan(selection, { ...options, onProgress }))
    if (flags.output !== undefined) await writeFile(resolve(context.cwd, flags.output), `${JSON.stringify(made)}\n`)
    context.stdout.write(`${flags.json ? JSON.stringify(made) : formatPlan(made)}\n`)
  } finally {
    await executor.shutdown()
  }
  return 0
}

/** While the objects are looked up, what was found so far is shown on stderr. */
async function watched(
  flags: PlanFlags,
  { stderr }: CliContext,
  plan: (onProgress: ((progress: SelectingProgress) => void) | undefined) => Promise<Plan>,
): Promise<Plan> {
  if (!flags.progress) return plan(undefined)
  const jobId = 'plan'
  const bar = createProgressBar({ stream: stderr, isTTY: stderr.isTTY === true, nowMs: Date.now })
  bar({ type: 'job-created', at: Date.now(), jobId, kind: 'map', name: '', silent: false })
  try {
    return await plan((progress) => bar({ type: 'job-selecting', at: Date.now(), jobId, ...progress }))
  } finally {
    bar.close()
  }
}

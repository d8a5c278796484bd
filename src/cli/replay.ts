/** `quern replay JOB CALL`: one call once more, in this process, on the bytes it had: for a debugger, or for a test. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { CallError, messageOf, QuernError } from '../core/errors.ts'
import type { CliContext, ExitCode } from './context.ts'
import { executorOptions, type JobFlags } from './job-flags.ts'
import { printResult } from './run-to-end.ts'

interface ReplayFlags extends JobFlags {
  readonly saveFixture?: string
  readonly inspect?: boolean
  readonly journal?: string
}

export function addReplay(program: Command, context: CliContext, done: (code: ExitCode) => void): void {
  program
    .command('replay')
    .description('run one call of a job again, in this process, on the same bytes')
    .argument('<job>', 'its name; calls of the map of a map-reduce by the name of the map: …-M000')
    .argument('<call>', 'its number: 00005, or 5')
    .option('--save-fixture <folder>', 'write its input and a test of the function there')
    .option('--inspect', 'wait for a debugger, and stop before the function is called')
    .option('--journal <url>', 'the bucket its journal lies in, where it is not that of the configured storage')
    .option('--config <file>', 'configuration file')
    .option('--json', 'print JSON')
    .action(async (job: string, call: string, flags: ReplayFlags) => done(await replay(job, call, flags, context)))
}

async function replay(job: string, call: string, flags: ReplayFlags, context: CliContext): Promise<ExitCode> {
  const folder = flags.saveFixture === undefined ? undefined : resolve(context.cwd, flags.saveFixture)
  const executor = await context.openExecutor({ ...executorOptions(flags), showProgressbar: false })
  try {
    if (flags.inspect) await context.inspect?.()
    // biome-ignore lint/suspicious/noDebugger: it is asked for by --inspect, and nothing without a debugger
    if (flags.inspect) debugger
    const value = await executor.replay(job, call, { saveFixture: folder, journalStorage: flags.journal })
    printResult(value, flags, context)
    return 0
  } catch (error) {
    // what the function throws is its own; its stack is what is looked for
    if (error instanceof QuernError) throw error
    throw new CallError(`call ${call} of ${job} failed: ${messageOf(error)}`, call, { cause: error })
  } finally {
    await executor.shutdown()
    if (folder !== undefined && existsSync(folder)) context.stderr.write(`fixture in ${folder}\n`)
  }
}

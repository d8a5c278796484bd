/** `quern resume NAME`: goes on with a job that was interrupted, failed in part, or lost its driver. */
import type { Command } from 'commander'
import type { CliContext, ExitCode } from './context.ts'
import { addExecutorFlags } from './job-flags.ts'
import { type RunFlags, runToEnd } from './run-to-end.ts'

interface ResumeFlags extends RunFlags {
  readonly useNewCode?: boolean
  readonly replan?: boolean
  readonly journal?: string
}

export function addResume(program: Command, context: CliContext, done: (code: ExitCode) => void): void {
  const command = program.command('resume').description('go on with a job: run the calls that have no result yet')
  command.argument('<job>', 'its name, as quern run and quern jobs print it')
  addExecutorFlags(command)
    .option('--use-new-code', 'take the function as it is now, and discard what the old one has done')
    .option('--replan', 'plan objects anew that have changed, instead of refusing them')
    .option('--journal <url>', 'the bucket its journal lies in, where it is not that of the configured storage')
    .option('--no-progress', 'no progress bar')
    .action(async (name: string, flags: ResumeFlags) => {
      const { useNewCode, replan, journal: journalStorage } = flags
      const options = { useNewCode, replan, journalStorage }
      done(await runToEnd(flags, context, (executor) => executor.resume(name, options)))
    })
}

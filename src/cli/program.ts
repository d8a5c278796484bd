/** The command line as a whole: commands in, an exit code out. Nothing here ends the process. */
import { Command, CommanderError } from 'commander'
import { addClean } from './clean.ts'
import type { CliContext, ExitCode } from './context.ts'
import { addDoctor } from './doctor.ts'
import { exitCodeOf, reportFailure } from './failures.ts'
import { addHello } from './hello.ts'
import { addJobs } from './jobs.ts'
import { addPlan } from './plan.ts'
import { addReplay } from './replay.ts'
import { addResume } from './resume.ts'
import { addRun } from './run.ts'
import { addStorage } from './storage.ts'

/** Runs `args` (without node and script) and says how it went; failures are already told on stderr. */
export async function runCommandLine(args: readonly string[], version: string, context: CliContext): Promise<ExitCode> {
  let code: ExitCode = 0
  const done = (result: ExitCode) => {
    code = result
  }
  const program = new Command('quern')
    .description('Run a function over every object in a bucket, or over exact parts of every object, and reduce.')
    .version(version)
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
    })
  for (const add of [addRun, addPlan, addResume, addReplay, addJobs, addClean, addStorage, addDoctor, addHello])
    add(program, context, done)
  for (const command of program.commands) command.copyInheritedSettings(program)
  try {
    await program.parseAsync(args, { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    reportFailure(context, error, args.includes('--json'))
    return exitCodeOf(error)
  }
}

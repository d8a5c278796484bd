/** `quern doctor`: what is configured, and what of it can be reached. */
import type { Command } from 'commander'
import type { CliContext, ExitCode } from './context.ts'
import type { Step } from './doctor-steps.ts'

export interface DoctorFlags {
  readonly config?: string
  readonly json?: boolean
  readonly write?: boolean
  readonly compute: boolean
}

const STEP_WIDTH = 16

export function addDoctor(program: Command, context: CliContext, done: (code: ExitCode) => void): void {
  program
    .command('doctor')
    .description('test the configured store and workers step by step, and say what is wrong')
    .argument('[url]', 'a bucket, prefix or URL to test; default: the configured bucket')
    .option('--write', 'put, read and delete a temporary object too')
    .option('--no-compute', 'do not start a worker')
    .option('--config <file>', 'configuration file')
    .option('--json', 'print JSON, a line a step')
    .action(async (url: string | undefined, flags: DoctorFlags) => done(await doctor(url, flags, context)))
}

async function doctor(url: string | undefined, flags: DoctorFlags, context: CliContext): Promise<ExitCode> {
  const { examine } = await import('./doctor-examine.ts')
  const { stdout } = context
  const tell = (step: Step) => stdout.write(`${flags.json ? JSON.stringify(step) : asText(step)}\n`)
  const steps = await examine(url, flags, context, tell)
  if (steps === undefined) return 130
  const failures = steps.filter(({ status }) => status === 'failed')
  if (!flags.json) stdout.write(`${summary(failures)}\n`)
  return failures.length === 0 ? 0 : 1
}

function asText({ step, status, detail, advice }: Step): string {
  const line = `${status.padEnd(7)}  ${step.padEnd(STEP_WIDTH)} ${detail}`
  return advice === undefined ? line : `${line}\n${' '.repeat(STEP_WIDTH + 10)}→ ${advice}`
}

function summary(failures: readonly Step[]): string {
  if (failures.length === 0) return 'all is well'
  return `${failures.length} failed: ${failures.map(({ step }) => step).join(', ')}`
}

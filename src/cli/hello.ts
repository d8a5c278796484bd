/** `quern hello`: one call on the configured backend, to see that everything is in place. */
import type { Command } from 'commander'
import { formatDuration } from '../core/sizes.ts'
import { moduleFunction } from '../functions/module-function.ts'
import type { CliContext, CliExecutor, ExitCode } from './context.ts'
import { addExecutorFlags, executorOptions, type JobFlags } from './job-flags.ts'

export interface Greeting {
  readonly message: string
  readonly pid: number
  readonly node: string
}

/** What runs in the worker. */
export function greet(name: string): Greeting {
  return { message: `Hello ${name}!`, pid: process.pid, node: process.version }
}

export function addHello(program: Command, context: CliContext, done: (code: ExitCode) => void): void {
  const command = program.command('hello').description('run one call on the configured backend')
  addExecutorFlags(command).action(async (flags: JobFlags) => done(await hello(flags, context)))
}

/** One call. */
export async function askForGreeting(executor: CliExecutor): Promise<Greeting> {
  return (await executor.callAsync(moduleFunction(import.meta.url, 'greet'), 'world')) as Greeting
}

async function hello(flags: JobFlags, context: CliContext): Promise<ExitCode> {
  const started = performance.now()
  const executor = await context.openExecutor({ workerProcesses: 1, ...executorOptions(flags) })
  try {
    const greeting = await askForGreeting(executor)
    const ms = Math.round(performance.now() - started)
    const text = flags.json
      ? JSON.stringify({ ...greeting, executorId: executor.executorId, ms })
      : `${greeting.message} Worker ${greeting.pid} on Node ${greeting.node} answered in ${formatDuration(ms)}.`
    context.stdout.write(`${text}\n`)
  } finally {
    await executor.shutdown()
  }
  return 0
}

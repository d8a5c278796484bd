/** A driver to be killed: runs a job of kill-job.ts, prints how it ended and leaves. */
import { FunctionExecutor } from '../../src/entry/index.ts'
import { configOf, submitDividingJob, submitKillJob } from './kill-job.ts'

const [endpoint = '', output = '', kind = 'counts'] = process.argv.slice(2)
process.on('SIGUSR2', () => process.exit(3))
const exec = new FunctionExecutor({
  config: configOf(endpoint),
  maxWorkers: 2,
  showProgressbar: false,
  logLevel: 'error',
})
try {
  await (kind === 'divides' ? submitDividingJob : submitKillJob)(exec, endpoint, output)
  process.stdout.write('done\n')
} catch (error) {
  process.stdout.write(`${(error as { code?: string }).code}: ${(error as Error).message}\n`)
  process.exitCode = 1
}
await exec.shutdown()

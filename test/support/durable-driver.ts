/** A driver of its own, to be killed: runs the job of a folder (resumable-job.ts), or resumes it when given its name. */
import { FunctionExecutor } from '../../src/entry/index.ts'
import { executorOptions, submitJob } from './resumable-job.ts'

const [folder = '', backend = 'inline', name] = process.argv.slice(2)
const exec = new FunctionExecutor(executorOptions(folder, backend))
const job = name === undefined ? submitJob(exec, folder) : exec.resume(name)
job.planned().then(() => process.send?.(job.name))
const left = await job.exception().catch((error: Error) => error)
process.send?.(left === null ? 'ended' : `${left.name}: ${left.message}`)
// its result stays unread: this driver is to be killed
setInterval(() => undefined, 1_000)

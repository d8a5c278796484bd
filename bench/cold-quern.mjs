/** A whole program: one call in a worker process, its result, the end. */
import { FunctionExecutor } from 'quern'

const exec = new FunctionExecutor({ maxWorkers: 2, showProgressbar: false })
const answer = await exec.callAsync((n) => n + 1, 41)
if (answer !== 42) throw new Error(`got ${answer}`)
await exec.shutdown()

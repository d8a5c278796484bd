/** Tasks in worker threads: cheap to start and to talk to, and values can be moved; they share this process's fate. */
import { cpuCount } from '../pool/cpu-count.ts'
import { threadStarter } from '../pool/thread-link.ts'
import { PoolExecutor } from './pool-executor.ts'
import { type PoolExecutorOptions, parsePoolOptions } from './pool-options.ts'
import { taskWorkerEntry } from './task-worker-entry.ts'

const NAME = 'ThreadPoolExecutor'

export class ThreadPoolExecutor extends PoolExecutor {
  /**
   * Starts nothing yet. `maxWorkers` is the processors this process may use, where it is not given: threads of Node each
   * run their own code and wait on their own event loop, so more of them than processors gain nothing.
   * @throws ValidationError for an option that does not fit; SerializationError for an initializer that cannot
   * travel; RecursionError in a worker nested too deep
   */
  constructor(options: PoolExecutorOptions = {}) {
    const settings = parsePoolOptions(NAME, options)
    const { maxWorkers = cpuCount(), env, workerName: name = NAME } = settings
    const startWorker = threadStarter({ entry: taskWorkerEntry(), env, workers: maxWorkers, name })
    super({ name: NAME, maxWorkers, startWorker, title: undefined }, settings)
  }
}

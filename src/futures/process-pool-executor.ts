/** Tasks in processes of their own: whatever a task does to its worker, it does to itself alone. */
import { ValidationError } from '../core/errors.ts'
import { cpuCount } from '../pool/cpu-count.ts'
import { processStarter } from '../pool/process-link.ts'
import type { Task } from './executor.ts'
import { PoolExecutor } from './pool-executor.ts'
import { type PoolExecutorOptions, parsePoolOptions } from './pool-options.ts'
import { taskWorkerEntry } from './task-worker-entry.ts'

const NAME = 'ProcessPoolExecutor'

export class ProcessPoolExecutor extends PoolExecutor {
  /**
   * Starts nothing yet. `maxWorkers` is the processors this process may use, where it is not given.
   * @throws ValidationError for an option that does not fit; SerializationError for an initializer that cannot
   * travel; RecursionError in a worker nested too deep
   */
  constructor(options: PoolExecutorOptions = {}) {
    const settings = parsePoolOptions(NAME, options)
    const { maxWorkers = cpuCount(), env, workerName } = settings
    const startWorker = processStarter({ entry: taskWorkerEntry(), env, workers: maxWorkers })
    super({ name: NAME, maxWorkers, startWorker, title: workerName }, settings)
  }

  protected override accept(task: Task): void {
    if (task.transfer !== undefined) {
      throw new ValidationError(
        'submitWith options.transfer: nothing can be moved to another process; ThreadPoolExecutor can, or leave it out',
      )
    }
    super.accept(task)
  }
}

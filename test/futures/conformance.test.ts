/** The one suite, run by every executor. */
import { AsyncExecutor } from '../../src/futures/async-executor.ts'
import { DynamicThreadPoolExecutor } from '../../src/futures/dynamic-thread-pool-executor.ts'
import { ProcessPoolExecutor } from '../../src/futures/process-pool-executor.ts'
import { SynchronousExecutor } from '../../src/futures/synchronous-executor.ts'
import { ThreadPoolExecutor } from '../../src/futures/thread-pool-executor.ts'
import { type ExecutorTraits, executorConformance } from '../conformance/executor.ts'

const IN_WORKERS: ExecutorTraits = { queues: true, runsInWorkers: true, ordersByPriority: true, hasMaxWorkers: true }

executorConformance('SynchronousExecutor', ({ checkAndReject }) => new SynchronousExecutor({ checkAndReject }), {
  queues: false,
  runsInWorkers: false,
  ordersByPriority: false,
  hasMaxWorkers: false,
})
executorConformance('AsyncExecutor', (choice) => new AsyncExecutor(choice), { ...IN_WORKERS, runsInWorkers: false })
executorConformance('ThreadPoolExecutor', (choice) => new ThreadPoolExecutor({ maxWorkers: 2, ...choice }), IN_WORKERS)
executorConformance(
  'ProcessPoolExecutor',
  (choice) => new ProcessPoolExecutor({ maxWorkers: 2, ...choice }),
  IN_WORKERS,
)
executorConformance(
  'DynamicThreadPoolExecutor',
  (choice) => new DynamicThreadPoolExecutor({ maxWorkers: 2, ...choice }),
  IN_WORKERS,
)

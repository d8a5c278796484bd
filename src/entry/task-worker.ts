/** What runs in the workers of the executors of `quern/futures`. */
import { serveTasks } from '../futures/task-worker.ts'

serveTasks()

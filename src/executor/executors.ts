import { FunctionExecutor } from './function-executor.ts'
import type { ExecutorOptions } from './options.ts'

/** A FunctionExecutor whose mode is fixed: worker processes on this machine. */
export class LocalhostExecutor extends FunctionExecutor {
  constructor(options: Omit<ExecutorOptions, 'mode' | 'backend'> = {}) {
    super({ ...options, backend: 'localhost' })
  }
}

/** The environment of a pool's workers: this one's, one level of nesting deeper, with what the pool adds. */
import { availableParallelism } from 'node:os'
import { nestedEnv, requireDepth } from './nesting.ts'
import { inheritedEnv } from './spawn-options.ts'

/** `workers`: how many share the machine; without it, one a processor. @throws RecursionError, ValidationError */
export function workerEnv(program: {
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly workers?: number | undefined
}): Record<string, string> {
  requireDepth(process.env)
  const nested = nestedEnv({ ...process.env, ...program.env }, program.workers ?? availableParallelism())
  return inheritedEnv(process.env, { ...program.env, ...nested })
}

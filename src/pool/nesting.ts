/**
 * Pools within pools: what a worker's environment says about the pools it may make itself. It is one level deeper, and
 * it has its share of the processors, so that a program that nests pools does not run processors squared workers.
 */
import { RecursionError, ValidationError } from '../core/errors.ts'
import { cpuCount, parseMaxCpuCount } from './cpu-count.ts'

type Environment = Readonly<Record<string, string | undefined>>

const MAX_DEPTH = 10

/** Variables by which numeric libraries are told how many threads to use. */
const THREAD_VARIABLES = [
  'OMP_NUM_THREADS',
  'OPENBLAS_NUM_THREADS',
  'MKL_NUM_THREADS',
  'BLIS_NUM_THREADS',
  'VECLIB_MAXIMUM_THREADS',
  'NUMBA_NUM_THREADS',
  'NUMEXPR_NUM_THREADS',
]

/**
 * What is added to the environment of one of `workers` workers. Budgets of threads that `env` sets already stay.
 * @throws ValidationError when QUERN_DEPTH or QUERN_MAX_CPU_COUNT is no such number
 */
export function nestedEnv(env: Environment, workers: number): Record<string, string> {
  const share = Math.max(1, Math.floor(cpuCount({ env }) / workers))
  const budget = Math.min(share, parseMaxCpuCount(env.QUERN_MAX_CPU_COUNT) ?? share)
  const added: Record<string, string> = { QUERN_DEPTH: `${depthOf(env) + 1}`, QUERN_MAX_CPU_COUNT: `${budget}` }
  for (const name of THREAD_VARIABLES) if ((env[name] ?? '') === '') added[name] = `${budget}`
  return added
}

/** @throws RecursionError when workers started here would be nested deeper than QUERN_MAX_DEPTH, ValidationError */
export function requireDepth(env: Environment): void {
  const depth = depthOf(env) + 1
  const most = parseCount('QUERN_MAX_DEPTH', env.QUERN_MAX_DEPTH, 1) ?? MAX_DEPTH
  if (depth <= most) return
  throw new RecursionError(
    `workers nested ${depth} deep, at most ${most} are allowed: a worker starts workers of its own without end? ` +
      'QUERN_MAX_DEPTH sets another limit',
  )
}

function depthOf(env: Environment): number {
  return parseCount('QUERN_DEPTH', env.QUERN_DEPTH, 0) ?? 0
}

function parseCount(name: string, value: string | undefined, least: number): number | undefined {
  if (value === undefined || value === '') return undefined
  const count = Number(value)
  if (Number.isInteger(count) && count >= least) return count
  throw new ValidationError(`${name}: expected a whole number from ${least}, got ${JSON.stringify(value)}`)
}

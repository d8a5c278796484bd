/**
 * How many workers this machine can run at once: the processors this process may use (affinity), cut by its cgroup's
 * CPU quota, cut by QUERN_MAX_CPU_COUNT. Quotas are asked for every time: they may change.
 */
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { ValidationError } from '../core/errors.ts'
import { coreCounter } from './physical-cores.ts'

const CGROUP_V2 = '/sys/fs/cgroup/cpu.max'
const CGROUP_V1_QUOTA = '/sys/fs/cgroup/cpu/cpu.cfs_quota_us'
const CGROUP_V1_PERIOD = '/sys/fs/cgroup/cpu/cpu.cfs_period_us'

export interface CpuCountOptions {
  /** One per core, not per hardware thread, unless a limit applies: then that limit. Default false. */
  readonly onlyPhysicalCores?: boolean | undefined
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
}

/** Asked once: cores do not come and go. */
const physicalCores = coreCounter((message) => process.emitWarning(message))

/** At least 1. @throws ValidationError when QUERN_MAX_CPU_COUNT is no whole number from 1 */
export function cpuCount({ onlyPhysicalCores = false, env = process.env }: CpuCountOptions = {}): number {
  const quota =
    parseCpuMax(readText(CGROUP_V2) ?? '') ??
    parseCfsQuota(readText(CGROUP_V1_QUOTA) ?? '', readText(CGROUP_V1_PERIOD) ?? '')
  const limit = parseMaxCpuCount(env.QUERN_MAX_CPU_COUNT)
  const logical = Math.max(1, Math.min(availableParallelism(), quota ?? Infinity, limit ?? Infinity))
  if (!onlyPhysicalCores || logical < cpus().length) return logical
  return Math.min(logical, physicalCores() ?? logical)
}

/** Whole processors, rounded up, of cgroup v2's `"{quota|max} {period}"`; undefined where there is no limit. */
export function parseCpuMax(text: string): number | undefined {
  const [quota = '', period = ''] = text.trim().split(/\s+/)
  return parseCfsQuota(quota, period)
}

/** The same of cgroup v1's two files; a quota of -1 is no limit. */
export function parseCfsQuota(quota: string, period: string): number | undefined {
  const [quotaUs, periodUs] = [Number.parseInt(quota, 10), Number.parseInt(period, 10)]
  if (!(quotaUs > 0 && periodUs > 0)) return undefined
  return Math.ceil(quotaUs / periodUs)
}

/** @throws ValidationError */
export function parseMaxCpuCount(value: string | undefined): number | undefined {
  if (value === undefined || value === '') return undefined
  const count = Number(value)
  if (Number.isInteger(count) && count >= 1) return count
  throw new ValidationError(`QUERN_MAX_CPU_COUNT: expected a whole number from 1, got ${JSON.stringify(value)}`)
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    return undefined
  }
}

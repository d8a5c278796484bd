import { availableParallelism } from 'node:os'
import { describe, expect, it } from 'vitest'
import { cpuCount, parseCfsQuota, parseCpuMax, parseMaxCpuCount } from '../../src/pool/cpu-count.ts'

describe('cpu count', () => {
  it.each([
    ['max 100000\n', undefined],
    ['200000 100000\n', 2],
    ['150000 100000', 2],
    ['10000 100000', 1],
    ['', undefined],
    ['0 100000', undefined],
    ['garbage', undefined],
  ])('of cgroup v2 %j is %j', (text, count) => {
    expect(parseCpuMax(text)).toBe(count)
  })

  it.each([
    ['-1\n', '100000\n', undefined],
    ['250000\n', '100000\n', 3],
    ['50000', '100000', 1],
    ['', '', undefined],
  ])('of cgroup v1 %j / %j is %j', (quota, period, count) => {
    expect(parseCfsQuota(quota, period)).toBe(count)
  })

  it('is never more than the environment allows, and at least 1', () => {
    expect(cpuCount({ env: { QUERN_MAX_CPU_COUNT: '1' } })).toBe(1)
    expect(cpuCount({ env: {} })).toBeGreaterThanOrEqual(1)
    expect(cpuCount({ env: { QUERN_MAX_CPU_COUNT: '100000' } })).toBeLessThanOrEqual(availableParallelism())
  })

  it.each(['0', '-2', '1.5', 'two'])('refuses QUERN_MAX_CPU_COUNT=%s', (value) => {
    expect(() => parseMaxCpuCount(value)).toThrow(`QUERN_MAX_CPU_COUNT: expected a whole number from 1, got "${value}"`)
  })
})

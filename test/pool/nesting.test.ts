import { describe, expect, it } from 'vitest'
import { cpuCount } from '../../src/pool/cpu-count.ts'
import { nestedEnv, requireDepth } from '../../src/pool/nesting.ts'
import { type CoreProbe, coreCounter } from '../../src/pool/physical-cores.ts'

describe('nested pools', () => {
  it.each([
    [{}, true],
    [{ QUERN_DEPTH: '9' }, true],
    [{ QUERN_DEPTH: '10' }, false],
    [{ QUERN_DEPTH: '2', QUERN_MAX_DEPTH: '2' }, false],
    [{ QUERN_DEPTH: '1', QUERN_MAX_DEPTH: '2' }, true],
    [{ QUERN_DEPTH: '10', QUERN_MAX_DEPTH: '11' }, true],
  ])('are allowed down to a depth: %j is %s', (env, allowed) => {
    if (allowed) expect(() => requireDepth(env)).not.toThrow()
    else expect(() => requireDepth(env)).toThrow(/QUERN_MAX_DEPTH/)
  })

  it.each([
    [{ QUERN_DEPTH: 'deep' }, 'QUERN_DEPTH: expected a whole number from 0, got "deep"'],
    [{ QUERN_MAX_DEPTH: '0' }, 'QUERN_MAX_DEPTH: expected a whole number from 1, got "0"'],
  ])('refuse %j', (env, message) => {
    expect(() => requireDepth(env)).toThrow(message)
  })

  it('are one deeper, and share the processors that their driver has', () => {
    const all = cpuCount({ env: {} })
    expect(nestedEnv({}, 1)).toMatchObject({
      QUERN_DEPTH: '1',
      QUERN_MAX_CPU_COUNT: `${all}`,
      OMP_NUM_THREADS: `${all}`,
    })
    const many = nestedEnv({ QUERN_DEPTH: '4' }, 1_000)
    expect(many).toMatchObject({ QUERN_DEPTH: '5', QUERN_MAX_CPU_COUNT: '1', MKL_NUM_THREADS: '1' })
    expect(nestedEnv({ QUERN_MAX_CPU_COUNT: '1' }, 1)).toMatchObject({ QUERN_MAX_CPU_COUNT: '1', OMP_NUM_THREADS: '1' })
  })

  it('leave the budgets of threads that somebody set', () => {
    const added = nestedEnv({ OMP_NUM_THREADS: '3', MKL_NUM_THREADS: '' }, 1_000)
    expect(added).not.toHaveProperty('OMP_NUM_THREADS')
    expect(added).toMatchObject({ MKL_NUM_THREADS: '1', NUMEXPR_NUM_THREADS: '1' })
  })
})

describe('physical cores', () => {
  const fail = (): never => {
    throw new Error('no such thing')
  }
  const LSCPU = '# comment\n# Core\n0\n0\n1\n1\n'
  const CPUINFO = ['0 0', '0 0', '0 1', '1 0']
    .map((pair, i) => {
      const [physical, core] = pair.split(' ')
      return `processor\t: ${i}\nphysical id\t: ${physical}\ncore id\t\t: ${core}\n`
    })
    .join('\n')

  it.each<[string, CoreProbe, number | undefined, number]>([
    ['lscpu', { lscpu: () => LSCPU, cpuinfo: fail }, 2, 0],
    ['cpuinfo, where there is no lscpu', { lscpu: fail, cpuinfo: () => CPUINFO }, 3, 0],
    ['cpuinfo, where lscpu lists none', { lscpu: () => '# Core\n', cpuinfo: () => CPUINFO }, 3, 0],
    ['nowhere', { lscpu: fail, cpuinfo: () => 'processor : 0\n' }, undefined, 1],
  ])('are asked for once, from %s', (_name, probe, cores, warnings) => {
    const said: string[] = []
    let asked = 0
    const counted = {
      lscpu: () => {
        asked += 1
        return probe.lscpu()
      },
      cpuinfo: probe.cpuinfo,
    }
    const count = coreCounter((message) => said.push(message), counted)
    expect([count(), count()]).toEqual([cores, cores])
    expect([asked, said.length]).toEqual([1, warnings])
  })

  it('are never more than the processors, and a limit comes first', () => {
    expect(cpuCount({ onlyPhysicalCores: true, env: {} })).toBeLessThanOrEqual(cpuCount({ env: {} }))
    expect(cpuCount({ onlyPhysicalCores: true, env: { QUERN_MAX_CPU_COUNT: '1' } })).toBe(1)
  })
})

/** What the system says of processes, as text of Linux's /proc. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { parseKernelKills, parseProgress, parseResidentBytes, systemVitals } from '../../src/pool/vitals.ts'

const stat = (name: string, state: string, user: number, system: number) =>
  `4711 (${name}) ${state} 1 4711 4711 0 -1 4194304 100 0 0 0 ${user} ${system} 7 8 20 0 11 0 123456 999 888`

describe('the files of /proc', () => {
  it.each([
    ['runs', stat('node', 'R', 30, 4), { state: 'R', cpuTicks: 34 }],
    ['sleeps', stat('node', 'S', 0, 0), { state: 'S', cpuTicks: 0 }],
    ['is stopped by a signal', stat('node', 'T', 30, 4), { state: 'T', cpuTicks: 34 }],
    ['is held by a debugger', stat('node', 't', 30, 4), { state: 't', cpuTicks: 34 }],
    ['has brackets and spaces in its name', stat('a) T (b', 'R', 1, 2), { state: 'R', cpuTicks: 3 }],
    ['is gone', '', undefined],
    ['is told of in another form', '4711 (node) R', undefined],
  ])('tell of a process that %s', (_what, text, expected) => {
    expect(parseProgress(text)).toEqual(expected)
  })

  it('tell what is resident, in KiB', () => {
    expect(parseResidentBytes('VmHWM:\t  9000 kB\nVmRSS:\t    2048 kB\nRssAnon:\t 1 kB\n')).toBe(2_097_152)
    expect(parseResidentBytes('Name:\tkthreadd\n')).toBeUndefined()
  })

  it('tell how often the kernel killed for want of memory', () => {
    expect(parseKernelKills('pgfault 12\noom_kill 3\nnuma_hit 4\n')).toBe(3)
    expect(parseKernelKills('pgfault 12\n')).toBeUndefined()
  })
})

describe.runIf(process.platform === 'linux')('a process of this system', () => {
  it('is told as stopped from its SIGSTOP to its SIGCONT, and is unknown once it is gone', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6); console.log("up")'])
    await once(child.stdout, 'data')
    const pid = child.pid as number
    const until = async (stopped: boolean) => {
      for (;;) if ((systemVitals.progress(pid)?.state === 'T') === stopped) return
    }
    child.kill('SIGSTOP')
    await until(true)
    expect(systemVitals.residentBytes(pid)).toBeGreaterThan(10_000_000)
    child.kill('SIGCONT')
    await until(false)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect([systemVitals.progress(pid), systemVitals.residentBytes(pid)]).toEqual([undefined, undefined])
  })

  it('is this one: its memory as Node tells it, its processor time growing', () => {
    const resident = systemVitals.residentBytes(process.pid) as number
    expect(Math.abs(resident - process.memoryUsage.rss())).toBeLessThan(32 * 2 ** 20)
    const before = systemVitals.progress(process.pid)?.cpuTicks as number
    for (;;) if ((systemVitals.progress(process.pid)?.cpuTicks as number) > before) break
    expect(systemVitals.kernelKills()).toBeGreaterThanOrEqual(0)
  })
})

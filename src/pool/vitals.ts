/**
 * What the system says of a process, wherever it stands in its own code: Linux's /proc. Elsewhere nothing is known, and
 * a worker speaks for itself as far as its event loop turns.
 */
import { readFileSync } from 'node:fs'

/** How far a process has come. */
export interface Progress {
  /** R runs, S sleeps, D waits for a device, T is stopped by a signal (SIGSTOP, SIGTSTP), t by a debugger, … */
  readonly state: string
  /** User and system time of all its threads, in ticks of the system's clock. */
  readonly cpuTicks: number
}

/** Of what /proc tells, on every architecture (USER_HZ). */
export const TICK_MS = 10

export interface Vitals {
  /** Undefined where the system does not tell, or the process is gone. */
  progress(pid: number): Progress | undefined
  /** Memory that is resident, bytes. */
  residentBytes(pid: number): number | undefined
  /** How many processes the kernel has killed for want of memory since it started, where it tells. */
  kernelKills(): number | undefined
}

export const systemVitals: Vitals = {
  progress: (pid) => parseProgress(textOf(`/proc/${pid}/stat`)),
  residentBytes: (pid) => parseResidentBytes(textOf(`/proc/${pid}/status`)),
  kernelKills: () => parseKernelKills(textOf('/proc/vmstat')),
}

/** Of `/proc/PID/stat`. The name of the program stands in brackets and may hold anything, brackets too. */
export function parseProgress(stat: string): Progress | undefined {
  const [state = '', ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // fields 14 and 15 of the file; `rest` begins with the fourth
  const cpuTicks = Number(rest[10]) + Number(rest[11])
  return Number.isNaN(cpuTicks) ? undefined : { state, cpuTicks }
}

/** Of `/proc/PID/status`. */
export function parseResidentBytes(status: string): number | undefined {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
  return kib === undefined ? undefined : Number(kib) * 1_024
}

/** Of `/proc/vmstat`. */
export function parseKernelKills(vmstat: string): number | undefined {
  const kills = /^oom_kill (\d+)$/m.exec(vmstat)?.[1]
  return kills === undefined ? undefined : Number(kills)
}

/** Empty where there is no such file: the process is gone, or the system has no /proc. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // ESRCH: the process ended between opening and reading
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES') return ''
    throw error
  }
}

/** A worker leads a process group: what it starts, and does not detach, ends with it. */

/** Kills a leader and its group. False when there is no such group: the worker has not become its leader yet, or is gone. */
export function killGroup(pid: number): boolean {
  try {
    return process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

/** A worker leads a process group: what it starts, and does not detach, ends with it. */

/**
 * Kills a leader and its group. False when there is no such group (the worker has not become its leader yet, or is gone) or
 * nothing of it is ours to kill.
 */
export function killGroup(pid: number): boolean {
  try {
    return process.kill(-pid, 'SIGKILL')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ESRCH' || code === 'EPERM') return false
    throw error
  }
}

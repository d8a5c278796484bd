/**
 * Ends the workers of a driver that ends without closing its pool. An idle worker sees its channel close and leaves; a
 * busy one does not look. A driver that exits kills those itself; for one that is killed a small shell waits for its
 * end and, half a second later, kills what it was told to watch and has not left, with what that started.
 *
 * The shell is started while the first worker starts: a worker can be busy only after it is ready, and by then the shell
 * has heard of it. One that was ended by somebody else is started anew when there is a worker to tell it of.
 * Best effort: where there is no shell, busy workers leave when their code next lets the event loop turn.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { killGroup } from './process-group.ts'

/** Lines `+pid` and `-pid`; at the end of input each group still on the list is killed. */
const SCRIPT = `
pids=' '
while read -r line; do
  pid=\${line#?}
  case $line in
    +*) pids="$pids$pid " ;;
    -*) pids="\${pids%% $pid *} \${pids#* $pid }" ;;
  esac
done
sleep 0.5
for pid in $pids; do kill -s KILL -- "-$pid"; done 2>/dev/null
`

export interface Guardian {
  watch(pid: number): void
  forget(pid: number): void
  /** Nothing is left to watch; resolves when its process is gone. */
  close(): Promise<void>
}

/** Watches for this process's end; `busy` names the workers that run something then. */
export function startGuardian(busy: () => readonly number[]): Guardian {
  if (process.platform === 'win32')
    return { watch: () => undefined, forget: () => undefined, close: async () => undefined }
  return new ShellGuardian(busy)
}

class ShellGuardian implements Guardian {
  readonly #pids = new Set<number>()
  readonly #onExit: () => void
  #shell: ChildProcess | undefined
  #gone: Promise<void> | undefined

  constructor(busy: () => readonly number[]) {
    this.#onExit = () => {
      for (const pid of busy()) killGroup(pid)
    }
    process.on('exit', this.#onExit)
  }

  watch(pid: number): void {
    this.#pids.add(pid)
    if (this.#shell === undefined) this.#start()
    else this.#shell.stdin?.write(`+${pid}\n`)
  }

  forget(pid: number): void {
    if (this.#pids.delete(pid)) this.#shell?.stdin?.write(`-${pid}\n`)
  }

  async close(): Promise<void> {
    process.off('exit', this.#onExit)
    // its list is empty by now, so there is nothing it could do half a second later
    this.#shell?.kill('SIGKILL')
    await this.#gone
  }

  #start(): void {
    // a group of its own: what is sent to the driver's group must not reach it
    const shell = spawn('/bin/sh', ['-c', SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true, env: {} })
    this.#gone = new Promise((resolve) => {
      const over = () => {
        this.#shell = undefined
        resolve()
      }
      shell.once('exit', over)
      // where there is no shell there is nothing to try again with
      shell.once('error', () => resolve())
    })
    shell.stdin.on('error', () => undefined)
    shell.unref()
    const { stdin } = shell as unknown as { stdin: { unref?(): void } }
    stdin.unref?.()
    this.#shell = shell
    for (const pid of this.#pids) shell.stdin.write(`+${pid}\n`)
  }
}

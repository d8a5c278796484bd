/** Tasks that wait until a test lets them go, and a test that waits until something is so: no sleeping. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const LOOK_EVERY_MS = 2

/** Resolves when `condition` holds. @throws when it does not within half a minute */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`did not come to be: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
}

/** A folder through which tasks of any worker and the test see each other. */
export class Gates {
  readonly folder = mkdtempSync(join(tmpdir(), 'quern-gates-'))
  #made = 0

  /** A path that does not exist: a task waits for it with `waitFor`, the test opens it. */
  gate(): string {
    this.#made += 1
    return join(this.folder, `gate-${this.#made}`)
  }

  open(gate: string): void {
    writeFileSync(gate, '')
  }

  /** What tasks appended to a file, a line each. */
  lines(path: string): string[] {
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : []
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Appends `line` to `started` and waits, its event loop running, until `gate` exists. */
export async function waitFor(gate: string, started?: string, line = 'x'): Promise<string> {
  const { appendFileSync, existsSync: exists } = await import('node:fs')
  if (started !== undefined) appendFileSync(started, `${line}\n`)
  while (!exists(gate)) await new Promise((resolve) => setTimeout(resolve, 2))
  return line
}

/** Whether a process is there and not a zombie. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

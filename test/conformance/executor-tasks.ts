/** Functions for the executor suite. Any executor can run them: they use what they are given and built-in modules only. */
import { appendFile, stat } from 'node:fs/promises'

export function power(base: number, exponent: number): number {
  return base ** exponent
}

export function echo<T>(value: T): T {
  return value
}

export async function echoLater<T>(value: T): Promise<T> {
  await new Promise((resolve) => setImmediate(resolve))
  return value
}

/** Quotient and rest; there is none by 0. */
export function divmod(a: number, b: number): [number, number] {
  if (b === 0) throw new RangeError(`${a} by zero`)
  return [Math.floor(a / b), a % b]
}

export function blowUp(message: string): never {
  throw Object.assign(new TypeError(message), { detail: { code: 42 } })
}

/** Notes `name` in the file. */
export async function note(file: string, name: string): Promise<string> {
  await appendFile(file, `${name}\n`)
  return name
}

/** Notes `name` in `${gate}.log`, then waits until the file `gate` exists. */
export async function waitAtGate(gate: string, name: string): Promise<string> {
  await appendFile(`${gate}.log`, `${name}\n`)
  for (;;) {
    try {
      await stat(gate)
      return name
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
}

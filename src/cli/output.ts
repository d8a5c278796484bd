/** Writing much: as fast as the reader takes it. */
import type { Output } from './context.ts'

/** Writes text, and waits where the stream asks for it: a long listing must not pile up in memory. */
export async function writeText(output: Output, text: string): Promise<void> {
  if (output.write(text) !== false || output.once === undefined) return
  await new Promise<void>((resolve) => output.once?.('drain', resolve))
}

/** `1 object`, `1,204 objects`. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`
}

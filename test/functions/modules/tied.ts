/** Functions that close over their module, for tests of capture. */
import { basename } from 'node:path'

const offset: number = 41
export const tied = (x: number): number => x + offset
export const named = (path: string): string => basename(path)
export function whereAmI(): string {
  return import.meta.url
}
export function multiplyBy(factor: number, then: (x: number) => number): (x: number) => number {
  return (x) => then(x * factor)
}
export const hidden = (): ((x: number) => number) => (x) => x + offset
export default { held: (x: number): number => x - offset }

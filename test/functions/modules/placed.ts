/** Tells where it runs: in this file, or in a bundle. */
import { scale } from '../closures/values.ts'

export function place(): string {
  return String(new Error('here').stack)
}

export function scaledPlace(): string {
  return `${scale(2)} ${place()}`
}

/** What the table of closures imports. */
export const FACTOR: number = 3
export let calls = 0
export function count(): number {
  calls += 1
  return calls
}
export const scale = (x: number): number => x * FACTOR
export class Shape {
  readonly sides: number
  constructor(sides: number) {
    this.sides = sides
  }
  angles(): number {
    return (this.sides - 2) * 180
  }
}
export default function twice(x: number): number {
  return x * 2
}

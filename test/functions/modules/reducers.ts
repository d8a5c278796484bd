/** Reducers for tests of captureReducer. */
import { moduleReducer } from '../../../src/functions/module-function.ts'

const base: number = 100

export const shared = moduleReducer(import.meta.url, 'shared', {
  initial: () => base,
  add: (acc: number, value: number) => acc + value,
  merge: (a: number, b: number) => a + b - base,
  finish: (acc: number) => acc,
})

export const spread = {
  initial: () => 0,
  add: (acc: number, value: number) => acc + value,
  merge: (a: number, b: number) => a + b,
  finish: (acc: number) => acc,
}

/** Whether the collector takes an object that nothing should hold any more. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

/** True once it was collected; false when it is still held after many collections. */
export async function isCollected(reference: WeakRef<object>): Promise<boolean> {
  for (let i = 0; i < 20; i++) {
    // a WeakRef holds its target until the turn is over
    await new Promise((resolve) => setImmediate(resolve))
    collect()
    if (reference.deref() === undefined) return true
  }
  return false
}

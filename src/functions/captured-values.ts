/**
 * What a closure captured, as bytes: all of it at once, so that what two functions share stays shared. Functions inside
 * values become units of the closure, and what those capture is taken in too.
 */
import { SerializationError } from '../core/errors.ts'
import type { Closure } from './closure.ts'
import { encodeValue } from './codec.ts'
import { Refusal, type Trail } from './refusal.ts'

/** What goes with a unit, still as it is in this process: captured name → value. */
export interface UnitValues {
  readonly late: Record<string, unknown>
  /** What a class needs when it is defined. */
  readonly early: Record<string, unknown>
  readonly trails: Record<string, Trail>
}

/** What stands for a function inside a value. */
export interface UnitReference {
  readonly unit: number
}

/** The name under which a unit keeps what was put on its function. */
export const PROPERTIES = '$properties'

const ROOT = 'captured'

/** In base64; a part without values is left out. @throws Refusal with the way to what cannot travel */
export function encodeCaptured(closure: Closure): { values?: string; early?: string } {
  for (;;) {
    const units = closure.values.length
    const early = encodePart(closure, 'early')
    const late = encodePart(closure, 'late')
    // functions that were met in values brought what they capture: once more, with it
    if (closure.values.length !== units) continue
    return { ...(late === undefined ? {} : { values: late }), ...(early === undefined ? {} : { early }) }
  }
}

function encodePart(closure: Closure, part: 'late' | 'early'): string | undefined {
  const records = closure.values.map((unit) => unit[part])
  if (records.every((record) => Object.keys(record).length === 0)) return undefined
  const encodeFunction = (fn: object, path: string): UnitReference => {
    return { unit: closure.add(fn, trailOf(closure, path), { receiver: true }) }
  }
  try {
    return Buffer.from(encodeValue(records, ROOT, { encodeFunction })).toString('base64')
  } catch (error) {
    if (!(error instanceof SerializationError)) throw error
    const [, path = '', problem = error.message] = /^(captured\[.*?): (.*)$/s.exec(error.message) ?? []
    throw new Refusal(trailOf(closure, path), problem, '')
  }
}

/** The way to what stands at `captured[2].name.rest`: that to the variable, and the rest. */
function trailOf({ values }: Closure, path: string): Trail {
  const [, unit = '', name = '', rest = ''] =
    /^captured\[(\d+)\]\.([\p{ID_Start}$_][\p{ID_Continue}$]*)(.*)$/su.exec(path) ?? []
  const trail = values[Number(unit)]?.trails[name] ?? []
  return rest === '' ? trail : [...trail, () => rest]
}

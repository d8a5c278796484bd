/** The divisions of a job in its journal: numbered objects, each written once, before a call that follows from it runs. */
import type { Division } from '../../partitioner/divided-plan.ts'
import { mapConcurrent } from '../core/concurrency.ts'
import { FencedError } from '../core/errors.ts'
import { divisionKey, divisionsPrefix } from './keys.ts'
import { type JournalPlace, jsonBytes, listUnder, putOnce, readJson } from './place.ts'

const READS_AT_ONCE = 16

/** `epoch`: of the driver that divides. @throws FencedError when another driver has written a division of that number */
export async function recordDivision(
  place: JournalPlace,
  { name, epoch }: { readonly name: string; readonly epoch: number },
  number: number,
  division: Division,
): Promise<void> {
  const { won } = await putOnce(place, divisionKey(name, number), jsonBytes({ ...division, epoch }))
  if (!won) throw new FencedError(`${name} was taken over by another driver, which divides its calls now`)
}

/** All that were recorded, in order. */
export async function readDivisions(place: JournalPlace, name: string): Promise<Division[]> {
  const divisions: Division[] = []
  for await (const page of listUnder(place, divisionsPrefix(name))) {
    const found = await mapConcurrent(page, READS_AT_ONCE, ({ key }) => readJson<Division>(place, key))
    for (const each of found) if (each !== undefined) divisions.push(each.value)
  }
  return divisions
}

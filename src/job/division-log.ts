/**
 * The divisions of a job in its journal, in the order in which they were made: numbered objects, each put once, before a
 * call that follows from it runs. The log says which number a part has; that a call was divided, and where, is its
 * commit's to say (commits.ts).
 *
 * Invariant: there are no gaps, and who resumes puts an entry of its own before it divides. So what an earlier driver
 * still writes stands either before that entry, where it is seen, or behind it, where it is void.
 */
import type { Division } from '../../partitioner/divided-plan.ts'
import { mapConcurrent } from '../core/concurrency.ts'
import { FencedError } from '../core/errors.ts'
import { divisionKey, divisionsPrefix } from './keys.ts'
import { type JournalPlace, jsonBytes, listUnder, putOnce, readJson } from './place.ts'

const READS_AT_ONCE = 16

/** `epoch`: of the driver that put it. Without a division it only says who drives from here on. */
interface Entry extends Partial<Division> {
  readonly epoch: number
}

export interface DivisionDriver {
  /** Of the job. */
  readonly name: string
  readonly epoch: number
}

/** Where a driver writes its divisions. */
export class DivisionLog {
  readonly #place: JournalPlace
  readonly #driver: DivisionDriver
  #next: number
  #last: Promise<unknown> = Promise.resolve()

  /** `next`: entries that are there already. */
  constructor(place: JournalPlace, driver: DivisionDriver, next = 0) {
    this.#place = place
    this.#driver = driver
    this.#next = next
  }

  /**
   * Settles when it is there, and all before it.
   * @throws FencedError when another driver divides the job's calls now; whatever kept one before it from being put
   */
  record(division?: Division): Promise<void> {
    const recorded = this.#last.then(() => this.#put(division))
    this.#last = recorded
    return recorded
  }

  async #put(division: Division | undefined): Promise<void> {
    const { name, epoch } = this.#driver
    for (let won = false; !won; ) {
      const entry: Entry = { ...division, epoch }
      const put = await putOnce(this.#place, divisionKey(name, this.#next), jsonBytes(entry))
      const other = put.won ? undefined : (JSON.parse(Buffer.from(put.other.bytes).toString('utf8')) as Entry)
      if (other !== undefined && other.epoch > epoch) {
        throw new FencedError(`${name} was taken over by another driver, which divides its calls now`)
      }
      this.#next += 1
      won = put.won
    }
  }
}

/** All that count, in order. */
export async function readDivisions(place: JournalPlace, name: string): Promise<Division[]> {
  return counting(await readEntries(place, name))
}

/** Takes the log over: what it holds, and where this driver goes on. @throws FencedError */
export async function takeDivisions(
  place: JournalPlace,
  driver: DivisionDriver,
): Promise<{ readonly log: DivisionLog; readonly divisions: Division[] }> {
  const log = new DivisionLog(place, driver, (await readEntries(place, driver.name)).length)
  await log.record()
  return { log, divisions: await readDivisions(place, driver.name) }
}

async function readEntries(place: JournalPlace, name: string): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const page of listUnder(place, divisionsPrefix(name))) {
    const found = await mapConcurrent(page, READS_AT_ONCE, ({ key }) => readJson<Entry>(place, key))
    for (const each of found) if (each !== undefined) entries.push(each.value)
  }
  return entries
}

function counting(entries: readonly Entry[]): Division[] {
  const divisions: Division[] = []
  let newest = 0
  for (const { epoch, parent, at, child } of entries) {
    newest = Math.max(newest, epoch)
    if (epoch < newest || parent === undefined || at === undefined || child === undefined) continue
    divisions.push({ parent, at, child })
  }
  return divisions
}

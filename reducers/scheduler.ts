/**
 * Decides when reducers start. Pure: told what became of maps and which slots are free, it says which groups start.
 *
 * Invariants: a group starts at most once, and not before ceil(spawnReducer percent) of the maps that feed it by then
 * have ended for good; a map that is inserted later takes no start back. No start ever takes an ordinary slot that a waiting map could use, so one worker is enough for any job.
 * Leaves to others: feeding, retries, what a slot is. Source: docs, "Map-reduce". O(1) amortised per event.
 */
import { InvalidStateError, ValidationError } from '../src/core/errors.ts'

/** What one reduce call needs: places of maps in their job, in the order in which it folds them. */
export interface ReduceGroup {
  readonly maps: readonly number[]
}

/** Start the reducer of `group`; `waits`: in a waiting slot, otherwise in an ordinary one. */
export interface ReduceStart {
  readonly group: number
  readonly waits: boolean
}

/** Slots now: ordinary ones free, those of them that maps not yet running want, and waiting ones free. */
export interface ReduceSlots {
  readonly free: number
  readonly wantedByMaps: number
  readonly waitingFree: number
}

const BLOCKED = 0
const READY = 1
const COMPLETE = 2
const STARTED = 3
const FAILED = 4

export class ReduceScheduler {
  /** Groups fed by map m: `#feeds[#offsets[m] … #offsets[m + 1]]`. */
  readonly #offsets: Uint32Array
  readonly #feeds: Uint32Array
  readonly #over: Uint8Array
  /** Inserted maps: the one they were divided from at first, whose groups they feed; and those that have ended. */
  readonly #origins = new Map<number, number>()
  readonly #insertedOver = new Set<number>()
  readonly #percent: number
  readonly #mapCounts: Uint32Array
  readonly #state: Uint8Array
  /** Maps that have yet to end until the group may start, and until it is complete. */
  readonly #untilReady: Int32Array
  readonly #untilComplete: Int32Array
  readonly #ready: GroupQueue
  readonly #complete: GroupQueue
  #unstarted: number

  /** `spawnReducer`: percent from 0 to 100. @throws ValidationError */
  constructor(groups: readonly ReduceGroup[], spawnReducer: number) {
    if (!(spawnReducer >= 0 && spawnReducer <= 100)) {
      throw new ValidationError(`spawnReducer: expected a number from 0 to 100, got ${spawnReducer}`)
    }
    const { offsets, feeds } = feedsOf(groups)
    this.#offsets = offsets
    this.#feeds = feeds
    this.#over = new Uint8Array(offsets.length - 1)
    this.#percent = spawnReducer
    this.#mapCounts = Uint32Array.from(groups, ({ maps }) => maps.length)
    this.#state = new Uint8Array(groups.length)
    this.#untilReady = Int32Array.from(groups, ({ maps }) => threshold(spawnReducer, maps.length))
    this.#untilComplete = Int32Array.from(groups, ({ maps }) => maps.length)
    this.#ready = new GroupQueue()
    this.#complete = new GroupQueue()
    this.#unstarted = groups.length
    for (let group = 0; group < groups.length; group++) this.#advance(group)
  }

  /** Groups that have neither started nor been told as failed. */
  get unstarted(): number {
    return this.#unstarted
  }

  /**
   * A map that has not ended gave a part of its input to a new one, which feeds the same groups.
   * @throws InvalidStateError when it has ended, or the new one is known
   */
  insert(map: number, inserted: number): void {
    if (this.#hasEnded(map)) throw new InvalidStateError(`map ${map} was divided after it had ended`)
    if (inserted < this.#over.length || this.#origins.has(inserted)) {
      throw new InvalidStateError(`map ${inserted} was inserted twice`)
    }
    if (!this.#isKnown(map)) return
    this.#origins.set(inserted, this.#originOf(map))
    for (const group of this.#groupsFedBy(map)) {
      const count = this.#mapCounts[group] as number
      const more = threshold(this.#percent, count + 1) - threshold(this.#percent, count)
      this.#mapCounts[group] = count + 1
      this.#untilReady[group]! += more
      this.#untilComplete[group]! += 1
      if (this.#state[group] === READY && (this.#untilReady[group] as number) > 0) this.#state[group] = BLOCKED
    }
  }

  /** A map has ended for good: with a value, or with a failure that is tolerated. @throws InvalidStateError when told twice */
  mapEnded(map: number, _outcome: 'succeeded' | 'tolerated'): void {
    if (!this.#end(map)) return
    for (const group of this.#groupsFedBy(map)) {
      this.#untilReady[group]! -= 1
      this.#untilComplete[group]! -= 1
      this.#advance(group)
    }
  }

  /**
   * A map has failed for good, and that is not tolerated: the groups it feeds, started or not, can give no value.
   * Each group is told once. @throws InvalidStateError when the map had ended
   */
  mapFailed(map: number): readonly number[] {
    if (!this.#end(map)) return []
    const failed: number[] = []
    for (const group of this.#groupsFedBy(map)) {
      const state = this.#state[group] as number
      if (state === FAILED) continue
      if (state !== STARTED) this.#unstarted -= 1
      this.#state[group] = FAILED
      failed.push(group)
    }
    return failed
  }

  /** The groups to start now: complete ones first, each kind in the order in which it became so. */
  take(slots: ReduceSlots): readonly ReduceStart[] {
    const starts: ReduceStart[] = []
    let spare = slots.free - slots.wantedByMaps
    let waiting = slots.waitingFree
    while (spare > 0) {
      const group = this.#complete.next(this.#state, COMPLETE)
      if (group === undefined) break
      starts.push(this.#start(group, false))
      spare -= 1
    }
    while (waiting > 0 || spare > 0) {
      const group = this.#ready.next(this.#state, READY)
      if (group === undefined) break
      starts.push(this.#start(group, waiting > 0))
      if (waiting > 0) waiting -= 1
      else spare -= 1
    }
    return starts
  }

  #start(group: number, waits: boolean): ReduceStart {
    this.#state[group] = STARTED
    this.#unstarted -= 1
    return { group, waits }
  }

  /** False for a map that feeds no group. */
  #end(map: number): boolean {
    if (!this.#isKnown(map)) return false
    if (this.#hasEnded(map)) throw new InvalidStateError(`map ${map} ended for good twice`)
    if (map < this.#over.length) this.#over[map] = 1
    else this.#insertedOver.add(map)
    return true
  }

  #isKnown(map: number): boolean {
    return map < this.#over.length || this.#origins.has(map)
  }

  #hasEnded(map: number): boolean {
    return map < this.#over.length ? this.#over[map] === 1 : this.#insertedOver.has(map)
  }

  #originOf(map: number): number {
    return this.#origins.get(map) ?? map
  }

  #groupsFedBy(map: number): Uint32Array {
    const origin = this.#originOf(map)
    return this.#feeds.subarray(this.#offsets[origin], this.#offsets[origin + 1])
  }

  #advance(group: number): void {
    const state = this.#state[group] as number
    if (state >= STARTED) return
    if ((this.#untilComplete[group] as number) <= 0) {
      this.#state[group] = COMPLETE
      this.#complete.push(group)
    } else if (state === BLOCKED && (this.#untilReady[group] as number) <= 0) {
      this.#state[group] = READY
      this.#ready.push(group)
    }
  }
}

/** Groups in order of arrival; those that have left the wanted state are passed over. */
class GroupQueue {
  readonly #groups: number[] = []
  #head = 0

  push(group: number): void {
    this.#groups.push(group)
  }

  next(states: Uint8Array, wanted: number): number | undefined {
    while (this.#head < this.#groups.length) {
      const group = this.#groups[this.#head++] as number
      if (states[group] === wanted) return group
    }
    return undefined
  }
}

/** ceil(percent × n / 100); the slack keeps 0.07 % of 10,000 at 7 where floating point says 7.000000000000001. */
function threshold(percent: number, n: number): number {
  return Math.min(n, Math.ceil((percent * n) / 100 - 1e-9))
}

function feedsOf(groups: readonly ReduceGroup[]): { offsets: Uint32Array; feeds: Uint32Array } {
  let mapCount = 0
  for (const { maps } of groups) for (const map of maps) if (map >= mapCount) mapCount = map + 1
  const offsets = new Uint32Array(mapCount + 1)
  for (const { maps } of groups) for (const map of maps) offsets[map + 1]! += 1
  for (let map = 0; map < mapCount; map++) offsets[map + 1]! += offsets[map] as number
  const feeds = new Uint32Array(offsets[mapCount] as number)
  const next = offsets.slice()
  groups.forEach(({ maps }, group) => {
    for (const map of maps) feeds[next[map]!++] = group
  })
  return { offsets, feeds }
}

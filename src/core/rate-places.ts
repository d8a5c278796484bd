/**
 * One rate for all workers of a machine that ask the same store. Who meets a refusal tells the driver; from then on every
 * worker asks it for places in the rate before it sends, and tells with each ask how its last requests fared. So the
 * rule that learns (rate-control.ts) sees what one client would see, however many workers come and go, and no share is
 * left with somebody who does not use it. Pure: time is an argument.
 *
 * - A worker is given the places of the next 100 ms, one at least: what is far ahead could not be called back after a cut.
 * - Where nothing was refused for a minute, nobody has to ask any more.
 * - What a scope is, is the asker's business (with-limit.ts: backend, reads or writes, bucket, first segment of the key).
 */
import { RateControl, type RateOptions } from './rate-control.ts'

/** What a worker tells of one scope; with `places` it waits for an answer. Plain JSON. */
export interface RateAsk {
  readonly scope: string
  /** How many requests wait. */
  readonly places: number
  /** Requests answered since its last ask, refusals not counted. */
  readonly accepted: number
  /** One was refused that was sent so long ago; nothing is to be sent for `retryAfterMs`. */
  readonly refused?: { readonly agoMs: number; readonly retryAfterMs: number } | undefined
  /** Requests a second that it had answered of late. */
  readonly perSecond: number
}

/** What the driver says of one scope. Plain JSON. */
export interface RateAnswer {
  readonly scope: string
  /** Whether places have to be asked for. */
  readonly limited: boolean
  /** When each of the places comes, in ms from now, ascending; absent where none was asked for. */
  readonly waitsMs?: readonly number[]
}

/** How a worker gets its places; what with-limit.ts asks, where there is a driver to ask. */
export interface RateLease {
  isLimited(scope: string): boolean
  /** When the places come, in ms from now; undefined where nobody answers, or nobody needs to ask. */
  ask(ask: RateAsk): Promise<readonly number[] | undefined>
  /** A refusal, told at once. */
  tell(ask: RateAsk): void
}

const AHEAD_MS = 100
const FORGOTTEN_MS = 60_000

interface Scope {
  readonly control: RateControl
  refusedAtMs: number
}

/** The driver's side. */
export class RatePlaces {
  readonly #options: RateOptions
  readonly #scopes = new Map<string, Scope>()

  constructor(options: RateOptions = {}) {
    this.#options = options
  }

  /** Scopes in which places have to be asked for. */
  limited(nowMs: number): readonly RateAnswer[] {
    for (const [name, { refusedAtMs }] of this.#scopes) {
      if (nowMs - refusedAtMs >= FORGOTTEN_MS) this.#scopes.delete(name)
    }
    return [...this.#scopes.keys()].map((scope) => ({ scope, limited: true }))
  }

  /** `workers`: how many there are; `isNew` where all of them have to be told that the scope is limited now. */
  answer(ask: RateAsk, workers: number, nowMs: number): { readonly answer: RateAnswer; readonly isNew: boolean } {
    const { scope: name, refused } = ask
    const known = this.#scopes.get(name)
    const scope = known ?? this.#begin(ask, workers, nowMs)
    if (refused !== undefined) scope.refusedAtMs = nowMs
    if (nowMs - scope.refusedAtMs >= FORGOTTEN_MS) {
      this.#scopes.delete(name)
      return { answer: { scope: name, limited: false }, isNew: false }
    }
    const { control } = scope
    for (let i = 0; i < ask.accepted; i++) {
      control.sent()
      control.accepted(nowMs)
    }
    if (refused !== undefined) {
      control.sent()
      // the places that were given before a cut are used after it
      control.refused(nowMs - refused.agoMs - AHEAD_MS, nowMs, refused.retryAfterMs)
    }
    const waitsMs = ask.places > 0 ? { waitsMs: places(control, ask.places, nowMs) } : {}
    return { answer: { scope: name, limited: true, ...waitsMs }, isNew: known === undefined }
  }

  /** Until the others have told theirs, all are taken to send as much as the first who was refused. */
  #begin({ scope, perSecond, refused }: RateAsk, workers: number, nowMs: number): Scope {
    const control = new RateControl(this.#options)
    control.suppose(perSecond * Math.max(1, workers), nowMs)
    const begun = { control, refusedAtMs: refused === undefined ? Number.NEGATIVE_INFINITY : nowMs }
    this.#scopes.set(scope, begun)
    return begun
  }
}

function places(control: RateControl, wanted: number, nowMs: number): number[] {
  const waits: number[] = []
  do waits.push(control.reserve(nowMs))
  while (waits.length < wanted && (waits.at(-1) as number) + 1_000 / control.perSecond <= AHEAD_MS)
  return waits
}

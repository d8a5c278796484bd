/**
 * Ends a call of a job with a journal: its commit settles which of several attempts counts, and up to where the call
 * reads. An attempt that finds its call divided, by a driver or another attempt, runs again on what is left of it; so
 * whoever wakes up late cannot bring back what is another call's by now.
 *
 * Invariant: nothing is committed of a partition that was made shorter before the commit of the longer one says so.
 */
import { InvalidStateError } from '../core/errors.ts'
import { callId } from '../core/ids.ts'
import {
  type CallEnd,
  type Commit,
  type CommitPlace,
  type Committed,
  commitDivision,
  commitEnd,
  readCommit,
} from '../job/commits.ts'
import { shortenedId } from '../job/keys.ts'
import type { CallSpec, JournalHead, Report } from '../job/messages.ts'
import type { BackendResolver } from '../storage/backend.ts'

/** One try at the call as it is by now. */
export interface Attempts {
  /** Runs it; `id`: under which it is going to be committed, unless it is divided meanwhile. */
  run(spec: CallSpec, id: string): Promise<CallEnd>
  /** Called when what `run` gave last does not count. */
  discard?(): Promise<void>
}

export interface Ended {
  readonly end: CallEnd
  /** Under which it is committed. */
  readonly id: string
  /** By this attempt. */
  readonly won: boolean
}

/** A partition while it is read. */
interface ShortenedReader {
  readonly range: { readonly end: number }
  endAt(at: number): number
}

export async function commitPlace(journal: JournalHead, resolve: BackendResolver): Promise<CommitPlace> {
  const { backend, bucket, name, series } = journal
  return { backend: await resolve(backend), bucket, name, series }
}

export class CommittedCall {
  readonly #place: CommitPlace
  readonly #report: (report: Report) => void
  #spec: CallSpec
  /** What was committed instead of a division of this attempt, once all of them are through. */
  #division: Promise<Commit | undefined> = Promise.resolve(undefined)

  constructor(place: CommitPlace, spec: CallSpec, report: (report: Report) => void) {
    this.#place = place
    this.#spec = spec
    this.#report = report
  }

  /** Ends the partition that is read at `at`, or where it still can; told once that is committed. */
  endAt(reader: ShortenedReader, at: number): void {
    const before = reader.range.end
    const end = reader.endAt(at)
    const division = this.#division.then((instead) => instead ?? this.#divide(end, before))
    // a store that fails fails the commit
    division.catch(() => undefined)
    this.#division = division
  }

  /** The end that counts, run for where no attempt before this one has committed it. */
  async finish(attempts: Attempts): Promise<Ended> {
    for (let first = this.#spec.attempt === 1; ; first = false) {
      const before = first ? undefined : await readCommit(this.#place, this.#id)
      const { won, commit } = before === undefined ? await this.#try(attempts) : { won: false, commit: before }
      if (commit.type === 'end') return { end: commit.end, id: this.#id, won }
      const { call } = this.#spec
      if (commit.type === 'set aside') throw new InvalidStateError(`the record of call ${callId(call)} was set aside`)
      this.#shorten(commit.at)
      this.#tell(commit.at)
    }
  }

  async #try({ run, discard }: Attempts): Promise<Committed> {
    let end: CallEnd
    try {
      end = await run(this.#spec, this.#id)
    } finally {
      // what it gave away is told before its end
      await this.#division.catch(() => undefined)
    }
    const instead = await this.#division
    this.#division = Promise.resolve(undefined)
    const committed =
      instead === undefined ? await commitEnd(this.#place, this.#id, end) : { won: false, commit: instead }
    if (!committed.won) await discard?.()
    return committed
  }

  async #divide(end: number, before: number): Promise<Commit | undefined> {
    if (end === before) {
      this.#tell(end)
      return undefined
    }
    const commit = await commitDivision(this.#place, this.#id, end)
    const divided = commit.type === 'divided' && commit.at === end
    if (divided) this.#shorten(end)
    this.#tell(divided ? end : before)
    return divided ? undefined : commit
  }

  #tell(end: number): void {
    this.#report({ type: 'divided', call: this.#spec.call, end })
  }

  get #id(): string {
    return commitIdOf(this.#spec)
  }

  #shorten(end: number): void {
    const { input } = this.#spec
    if (input.type !== 'partition') throw new InvalidStateError(`a call on a ${input.type} input cannot be divided`)
    const { object, range, index, count } = input.partition
    const partition = { object, range: { start: range.start, end }, index, count }
    const edges = input.edges?.start === undefined ? undefined : { start: input.edges.start }
    this.#spec = { ...this.#spec, input: { type: 'partition', partition, edges }, commit: shortenedId(this.#id, end) }
  }
}

function commitIdOf({ call, commit }: CallSpec): string {
  return commit ?? callId(call)
}

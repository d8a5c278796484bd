/**
 * Commits a call in its job's journal before it is reported, so that whatever dies afterwards the call need not run
 * again, and of several attempts one counts: who comes second reports what the first committed.
 */
import { callId } from '../core/ids.ts'
import { type CallEnd, type CommitPlace, commitEnd, readCommit } from '../job/commits.ts'
import type { CallSpec, JournalHead } from '../job/messages.ts'
import type { BackendResolver } from '../storage/backend.ts'

export async function commitPlace(journal: JournalHead, resolve: BackendResolver): Promise<CommitPlace> {
  const { backend, bucket, name, series } = journal
  return { backend: await resolve(backend), bucket, name, series }
}

/** Under which id a call is committed. */
export function commitIdOf({ call, commit }: CallSpec): string {
  return commit ?? callId(call)
}

/**
 * How the call ended in an attempt before this one, that died or was cut off after its commit. Undefined for a first
 * attempt, without asking.
 */
export async function committedBefore(place: CommitPlace, spec: CallSpec): Promise<CallEnd | undefined> {
  return spec.attempt === 1 ? undefined : readCommit(place, commitIdOf(spec))
}

/** The end that counts: this one, or the one that was committed before. */
export function commitCall(
  place: CommitPlace,
  spec: CallSpec,
  end: CallEnd,
): Promise<{ readonly won: boolean; readonly end: CallEnd }> {
  return commitEnd(place, commitIdOf(spec), end)
}

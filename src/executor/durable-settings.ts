/** Whether a job keeps a journal, as far as its options say. */
import type { JournalStorage } from '../config/options.ts'
import type { OutputSettings } from '../config/output-options.ts'
import type { SourceKind } from './launch.ts'

export interface DurableSettings {
  readonly durable?: boolean | undefined
  readonly journalStorage?: JournalStorage | undefined
  readonly output?: OutputSettings | undefined
}

/**
 * `must`: it was asked for, so a store that cannot hold it is an error; `may`: one that cannot is told; `no`: none.
 * Storage in memory dies with this process and what it would save: there a journal is kept only when asked for.
 */
export function journalNeed(
  { durable, journalStorage, output }: DurableSettings,
  kind: SourceKind,
  storage: string,
): 'must' | 'may' | 'no' {
  if (durable === true || journalStorage !== undefined || output !== undefined) return 'must'
  return durable === false || kind === 'items' || storage === 'memory' ? 'no' : 'may'
}

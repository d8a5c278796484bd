/** Checks the options of what an executor does beside running jobs: looking back, cleaning, resuming. */
import { ValidationError } from '../core/errors.ts'
import { type Field, field, flag, MISFIT, parseFields, signal, text } from '../core/fields.ts'
import { type JournalStorage, journalStorage } from './options.ts'

export interface UpkeepSettings {
  readonly plot: { readonly dst?: string; readonly figsize?: readonly [number, number] }
  readonly jobSummary: { readonly dst?: string }
  readonly jobs: { readonly signal?: AbortSignal }
  readonly resume: {
    readonly useNewCode?: boolean
    readonly replan?: boolean
    readonly journalStorage?: JournalStorage
  }
  readonly replay: { readonly saveFixture?: string; readonly journalStorage?: JournalStorage }
  readonly clean: {
    readonly fs?: unknown
    readonly cs?: unknown
    readonly cleanCloudobjects?: boolean
    readonly cleanFn?: boolean
    readonly force?: boolean
  }
}

const figsize: Field<readonly [number, number]> = {
  expected: 'two numbers from 2 to 100: width and height in inches',
  parse(value) {
    const fits = Array.isArray(value) && value.length === 2 && value.every((each) => each >= 2 && each <= 100)
    return fits ? (value as [number, number]) : MISFIT
  },
}

const given = field('futures or jobs', (value): value is object => typeof value === 'object' && value !== null)
const cloudObjects = field(
  'a CloudObject or a list of them',
  (value): value is object => typeof value === 'object' && value !== null,
)

const TABLES: { readonly [M in keyof UpkeepSettings]: Readonly<Record<string, Field>> } = {
  plot: { dst: text, figsize },
  jobSummary: { dst: text },
  jobs: { signal },
  resume: { useNewCode: flag, replan: flag, journalStorage },
  replay: { saveFixture: text, journalStorage },
  clean: { fs: given, cs: cloudObjects, cleanCloudobjects: flag, cleanFn: flag, force: flag },
}

/** The options of a method, checked; absent where not given. @throws ValidationError */
export function parseUpkeep<M extends keyof UpkeepSettings>(method: M, value: unknown): UpkeepSettings[M] {
  const fail = (message: string) => new ValidationError(message)
  return parseFields(TABLES[method], value, { where: `${method} options`, noun: 'option', fail }) as UpkeepSettings[M]
}

/** What the jobs of an executor took, as rows and as CSV: Lithops' `job_summary`, in units of quern. */

export interface SummaryRow {
  readonly jobId: string
  /** Name of the function. */
  readonly name: string
  readonly calls: number
  readonly succeeded: number
  readonly failed: number
  readonly cancelled: number
  readonly attempts: number
  /** Heap of its workers, where it was given. */
  readonly memoryMiB: number | undefined
  /** The user's function alone, ms: in all, and per call that has ended. */
  readonly runMs: number
  readonly averageRunMs: number
  readonly cpuMs: number
  readonly bytesRead: number
  readonly resultBytes: number
  readonly peakRssBytes: number
  /** Estimate of what its requests to stores cost, in USD at list prices. */
  readonly requestCost: number
}

export interface JobSummary {
  /** In the order the jobs were made. */
  readonly jobs: readonly SummaryRow[]
  /** All of them together; `jobId` is `total`. */
  readonly total: SummaryRow
}

const COLUMNS: readonly (readonly [heading: string, key: keyof SummaryRow])[] = [
  ['Job_ID', 'jobId'],
  ['Function', 'name'],
  ['Invocations', 'calls'],
  ['Succeeded', 'succeeded'],
  ['Failed', 'failed'],
  ['Cancelled', 'cancelled'],
  ['Attempts', 'attempts'],
  ['Memory(MiB)', 'memoryMiB'],
  ['AvgRuntime(ms)', 'averageRunMs'],
  ['Runtime(ms)', 'runMs'],
  ['CPU(ms)', 'cpuMs'],
  ['BytesRead', 'bytesRead'],
  ['ResultBytes', 'resultBytes'],
  ['PeakMemory(bytes)', 'peakRssBytes'],
  ['RequestCost(USD)', 'requestCost'],
]

/** The rows and what they come to. */
export function summarize(jobs: readonly SummaryRow[]): JobSummary {
  const sum = (
    key:
      | 'calls'
      | 'succeeded'
      | 'failed'
      | 'cancelled'
      | 'attempts'
      | 'runMs'
      | 'cpuMs'
      | 'bytesRead'
      | 'resultBytes'
      | 'requestCost',
  ) => jobs.reduce((total, row) => total + row[key], 0)
  const [runMs, ended] = [sum('runMs'), sum('succeeded') + sum('failed')]
  const total: SummaryRow = {
    jobId: 'total',
    name: '',
    calls: sum('calls'),
    succeeded: sum('succeeded'),
    failed: sum('failed'),
    cancelled: sum('cancelled'),
    attempts: sum('attempts'),
    memoryMiB: undefined,
    runMs,
    averageRunMs: ended === 0 ? 0 : runMs / ended,
    cpuMs: sum('cpuMs'),
    bytesRead: sum('bytesRead'),
    resultBytes: sum('resultBytes'),
    peakRssBytes: jobs.reduce((most, row) => Math.max(most, row.peakRssBytes), 0),
    requestCost: sum('requestCost'),
  }
  return { jobs, total }
}

/** With a line of headings; the last line is the total. */
export function summaryCsv({ jobs, total }: JobSummary): string {
  const lines = [...jobs, total].map((row) => COLUMNS.map(([, key]) => cell(row[key])).join(','))
  return `${COLUMNS.map(([heading]) => heading).join(',')}\n${lines.join('\n')}\n`
}

function cell(value: string | number | undefined): string {
  if (typeof value === 'number') return Number.isInteger(value) ? `${value}` : `${Number(value.toPrecision(6))}`
  const text = value ?? ''
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** How progress looks: pure functions of a job's account, the time and the width of the terminal. */
import { formatDuration, formatSize } from '../core/sizes.ts'
import { bytesRead, endedCalls, fractionDone, type JobProgress } from './progress-state.ts'

const BAR_WIDTH = 24

/** One line for a terminal, at most `width` characters: name, bar, calls, bytes, rate, time left. */
export function renderBar(job: JobProgress, nowMs: number, width: number): string {
  const head = `${job.jobId} ${job.name}`.trimEnd()
  if (job.callCount === undefined) return clip([head, 'planning', ...selecting(job, nowMs)].join('  '), width)
  const facts = [counts(job), ...rateAndRest(job, nowMs)]
  const fraction = fractionDone(job)
  const percent = `${percentDone(job).padStart(3)} %`
  for (const [bar, shown] of [
    [BAR_WIDTH, facts.length],
    [BAR_WIDTH / 2, facts.length],
    [0, facts.length],
    [0, 2],
    [0, 1],
  ] as const) {
    const line = [head, ...(bar > 0 ? [drawBar(fraction, bar)] : []), percent, ...facts.slice(0, shown)].join('  ')
    if (line.length <= width) return line
  }
  return clip(`${job.jobId}  ${percent}`, width)
}

/** `M000 count: planning, 120,000 objects, 3.4 GiB, 8,100 objects/s` */
export function renderSelecting(job: JobProgress, nowMs: number): string {
  return `${job.jobId} ${job.name}: ${['planning', ...selecting(job, nowMs)].join(', ')}`
}

/** `M000 count: 40 calls, 3.4 GiB`; of a job whose items are still being read `calls as items come` */
export function renderStart(job: JobProgress): string {
  const bytes = job.totalBytes > 0 ? `, ${formatSize(job.totalBytes)}` : ''
  const calls = job.open ? `${job.noun}s as items come` : plural(job.callCount ?? 0, job.noun)
  return `${job.jobId} ${job.name}: ${calls}${bytes}`
}

/** `M000 count: 50 %, 20/40 calls, 1.7 GiB/3.4 GiB, 250 MiB/s, 6.8 s left` */
export function renderStep(job: JobProgress, nowMs: number): string {
  const percent = `${percentDone(job)} %`
  return `${job.jobId} ${job.name}: ${[percent, counts(job), ...rateAndRest(job, nowMs)].join(', ')}`
}

/** `M000 count: succeeded, 40 calls, 3.4 GiB in 12.3 s` */
export function renderEnd(job: JobProgress): string {
  const took = (job.endedAt ?? job.createdAt) - job.createdAt
  const bytes = job.totalBytes > 0 ? `, ${formatSize(bytesRead(job))}` : ''
  const failed = job.failed > 0 ? ` (${job.failed} failed)` : ''
  const calls = `${plural(job.callCount ?? endedCalls(job), job.noun)}${failed}`
  return `${job.jobId} ${job.name}: ${job.outcome}, ${calls}${bytes} in ${formatDuration(took)}`
}

/** `…` until all calls are known. */
function percentDone(job: JobProgress): string {
  return job.open ? '…' : `${Math.floor(fractionDone(job) * 100)}`
}

function selecting({ selecting: found, createdAt }: JobProgress, nowMs: number): string[] {
  if (found === undefined) return []
  const perSecond = nowMs > createdAt ? Math.round((found.objects * 1_000) / (nowMs - createdAt)) : 0
  return [
    plural(found.objects, 'object'),
    formatSize(found.bytes),
    ...(perSecond > 0 ? [`${perSecond.toLocaleString('en-US')} objects/s`] : []),
  ]
}

function counts(job: JobProgress): string {
  const failed = job.failed > 0 ? `, ${job.failed} failed` : ''
  return `${endedCalls(job)}/${job.open ? '…' : job.callCount} ${job.noun}s${failed}`
}

function rateAndRest(job: JobProgress, nowMs: number): string[] {
  const elapsedMs = job.startedAt === undefined ? 0 : nowMs - job.startedAt
  const fraction = fractionDone(job)
  const rate = rateOf(job, elapsedMs)
  const rest = elapsedMs > 0 && fraction > 0 && fraction < 1 ? (elapsedMs * (1 - fraction)) / fraction : undefined
  return [
    ...(job.totalBytes > 0 ? [`${formatSize(bytesRead(job))}/${formatSize(job.totalBytes)}`] : []),
    ...(rate === undefined ? [] : [rate]),
    ...(rest === undefined ? [] : [`${formatDuration(Math.max(1_000, rest))} left`]),
  ]
}

function rateOf(job: JobProgress, elapsedMs: number): string | undefined {
  if (elapsedMs <= 0) return undefined
  if (job.totalBytes > 0) return `${formatSize((bytesRead(job) * 1_000) / elapsedMs)}/s`
  const perSecond = (endedCalls(job) * 1_000) / elapsedMs
  if (perSecond === 0) return undefined
  return `${perSecond >= 10 ? Math.round(perSecond) : perSecond.toFixed(1)} ${job.noun}s/s`
}

function drawBar(fraction: number, width: number): string {
  const filled = Math.floor(fraction * width)
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`
}

function clip(line: string, width: number): string {
  return line.length <= width ? line : line.slice(0, Math.max(0, width))
}

function plural(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`
}

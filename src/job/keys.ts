/**
 * Where the journal of a job lies in its bucket. The only place that knows: everything else asks here by name.
 *
 *   quern.jobs/{executorId}-{jobId}/          of a map-reduce: the id of its reduce
 *     job.json                                claims the name; what the job is
 *     functions/{series}   plan.jsonl | items what it runs, and on what
 *     driver.json                             lease of the driver that runs it, and how the job ended
 *     commits/{series}/{id}                   how a call ended, put once, by whoever was first
 *     attempts/{series}/{id}/{attempt}-{nonce}  large results and outputs before their commit
 *     published/{series}/{id}   outputs.json  divisions/{number}
 *
 * A series is the id of a map or reduce, with a number behind it once new code discarded what older code had committed:
 * `M000`, `M000.1`. An id is a call's, or `r1-00005` where its object was planned anew; `00005.to-4096` once it was divided
 * at that byte. So what a driver or worker of before still writes never meets what is written now.
 */

/** Under which all journals lie. */
export const JOBS_PREFIX = 'quern.jobs/'

const NAME = /^([^/]+)-([AMR])(\d{3,})$/

/** `{executorId}-{jobId}` taken apart; undefined for what is no name of a job. */
export function parseJobName(name: string): { executorId: string; jobId: string; letter: string } | undefined {
  const [, executorId, letter, number] = NAME.exec(name) ?? []
  if (executorId === undefined || letter === undefined) return undefined
  return { executorId, jobId: `${letter}${number}`, letter }
}

/** The job whose journal a key belongs to; undefined for keys of anything else. */
export function jobOfKey(key: string): string | undefined {
  const [name = '', rest] = key.slice(JOBS_PREFIX.length).split('/', 2)
  return key.startsWith(JOBS_PREFIX) && rest !== undefined && parseJobName(name) !== undefined ? name : undefined
}

export function jobPrefix(name: string): string {
  return `${JOBS_PREFIX}${name}/`
}

export function jobFile(name: string): string {
  return `${jobPrefix(name)}job.json`
}

export function driverFile(name: string): string {
  return `${jobPrefix(name)}driver.json`
}

/** `replan`: how often it was planned anew. */
export function planFile(name: string, replan: number): string {
  return `${jobPrefix(name)}plan${replan === 0 ? '' : `.${replan}`}.jsonl`
}

export function itemsFile(name: string): string {
  return `${jobPrefix(name)}items`
}

/** `code`: how often new code was taken. */
export function seriesOf(jobId: string, code: number): string {
  return code === 0 ? jobId : `${jobId}.${code}`
}

export function functionFile(name: string, series: string): string {
  return `${jobPrefix(name)}functions/${series}`
}

export function commitsPrefix(name: string, series?: string): string {
  return `${jobPrefix(name)}commits/${series === undefined ? '' : `${series}/`}`
}

export function commitKey(name: string, series: string, id: string): string {
  return `${commitsPrefix(name, series)}${id}`
}

/** The id of a call whose partition was made to end at `end`, from any that it had before. */
export function shortenedId(id: string, end: number): string {
  return `${id.replace(/\.to-\d+$/, '')}.to-${end}`
}

export function attemptsPrefix(name: string, series: string): string {
  return `${jobPrefix(name)}attempts/${series}/`
}

export function attemptKey(name: string, series: string, id: string, attempt: number, nonce: string): string {
  return `${attemptsPrefix(name, series)}${id}/${attempt}-${nonce}`
}

export function publishedKey(name: string, series: string, id: string): string {
  return `${jobPrefix(name)}published/${series}/${id}`
}

/** `replan`: as of its plan. */
export function outputsKey(name: string, replan = 0): string {
  return `${jobPrefix(name)}outputs${replan === 0 ? '' : `.${replan}`}.json`
}

export function divisionsPrefix(name: string): string {
  return `${jobPrefix(name)}divisions/`
}

/** Numbered so that listing gives them in order. */
export function divisionKey(name: string, number: number): string {
  return `${divisionsPrefix(name)}${String(number).padStart(8, '0')}`
}

/** Names of executors, jobs and calls, in the form Lithops gives them. */

/** `A000`, `M000`, `R000`: one call, a map, a reduce. Numbers run through the executor's life. */
export type JobKind = 'A' | 'M' | 'R'

export function jobId(kind: JobKind, number: number): string {
  return `${kind}${number.toString().padStart(3, '0')}`
}

/** `00000`: the place of a call in its job. */
export function callId(index: number): string {
  return index.toString().padStart(5, '0')
}

/** `{executorId}-{jobId}`, the name of a job across programs. */
export function jobKey(executorId: string, job: string): string {
  return `${executorId}-${job}`
}

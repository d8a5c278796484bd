/** How a refusal reads: the function that was handed over, the way to what cannot travel, what it is, what to do. */
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SerializationError } from '../core/errors.ts'
import type { FunctionOrigin } from './function-origin.ts'

/** From the function that was handed over to where one is; each step is worded only when it is needed. */
export type Trail = readonly (() => string)[]

/** Why a function cannot travel, thrown while it is captured; `refused` words it. */
export class Refusal {
  readonly trail: Trail
  readonly problem: string
  readonly fix: string

  constructor(trail: Trail, problem: string, fix: string) {
    this.trail = trail
    this.problem = problem
    this.fix = fix
  }
}

/** `map function 'score' cannot travel to a worker: 'acc' in function 'score' (jobs.ts:12:7) → instance of Acc. Pass …` */
export function refused(who: string, { trail, problem, fix }: Refusal): SerializationError {
  const way = [...trail.map((step) => step()), problem].join(' → ')
  const advice = fix === '' ? '' : ` ${fix[0]?.toUpperCase()}${fix.slice(1)}.`
  return new SerializationError(`${who} cannot travel to a worker: ${way}.${advice}`)
}

/** `jobs.ts:12:7`, from the working directory where it is below it. */
export function showPosition(origin: FunctionOrigin | undefined): string {
  if (origin === undefined || origin.url === '') return ''
  return ` (${showFile(origin.url)}:${origin.line}:${origin.column})`
}

export function nameOf(fn: object): string {
  const { name } = fn as { readonly name?: unknown }
  return typeof name === 'string' && name !== '' ? name : 'anonymous'
}

function showFile(url: string): string {
  if (!url.startsWith('file:')) return url
  const path = relative(process.cwd(), fileURLToPath(url))
  return path.startsWith('..') ? fileURLToPath(url) : path
}

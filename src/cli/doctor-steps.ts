/** What `quern doctor` looks at, one step after another: each is ok, failed or skipped, in words. */

import type { Config } from '../config/config.ts'
import { Secret } from '../config/secret.ts'
import { messageOf } from '../core/errors.ts'

export interface Finding {
  readonly status: 'ok' | 'failed' | 'skipped'
  /** What was seen. */
  readonly detail: string
  /** What to do about it. */
  readonly advice?: string | undefined
}

export interface Step extends Finding {
  readonly step: string
}

const STEP_TIMEOUT_MS = 20_000

/** The steps of one examination: said as they end, never with a secret in them. */
export class Steps {
  readonly done: Step[] = []
  readonly #tell: (step: Step) => void
  readonly #signal: AbortSignal
  readonly #hidden: string[]

  constructor(tell: (step: Step) => void, signal: AbortSignal, hidden: readonly string[]) {
    this.#tell = tell
    this.#signal = signal
    this.#hidden = [...hidden]
  }

  /** Texts that are replaced wherever they stand. */
  hide(secrets: readonly string[]): void {
    this.#hidden.push(...secrets)
  }

  /** Whether a step came out well. */
  isOk(step: string): boolean {
    return this.done.some((each) => each.step === step && each.status === 'ok')
  }

  hasFailed(step: string): boolean {
    return this.done.some((each) => each.step === step && each.status === 'failed')
  }

  add(step: string, { status, detail, advice }: Finding): void {
    const told: Step = {
      step,
      status,
      detail: this.#clean(detail),
      ...(advice === undefined ? {} : { advice: this.#clean(advice) }),
    }
    this.done.push(told)
    this.#tell(told)
  }

  skip(steps: readonly string[], why: string): void {
    for (const step of steps) this.add(step, { status: 'skipped', detail: why })
  }

  /** Runs one step; what it throws is its failure, and so is silence. `explain` says what to do about an error. */
  async run(
    step: string,
    look: (signal: AbortSignal) => Promise<Finding>,
    explain: (error: unknown) => string | undefined = () => undefined,
  ): Promise<boolean> {
    try {
      this.add(step, await this.within(look))
    } catch (error) {
      this.#signal.throwIfAborted()
      this.add(step, { status: 'failed', detail: messageOf(error), advice: explain(error) })
    }
    return this.isOk(step)
  }

  /** What `look` finds, as long as it takes no longer than a step may. @throws Error when it does */
  async within<T>(look: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#signal.throwIfAborted()
    const timeout = AbortSignal.timeout(STEP_TIMEOUT_MS)
    const signal = AbortSignal.any([this.#signal, timeout])
    try {
      return await orAborted(look(signal), signal)
    } catch (error) {
      if (!timeout.aborted) throw error
      throw new Error(`no answer in ${STEP_TIMEOUT_MS / 1_000} s`, { cause: error })
    }
  }

  #clean(text: string): string {
    return this.#hidden.reduce((clean, secret) => clean.replaceAll(secret, '***'), text)
  }
}

export function ok(detail: string): Finding {
  return { status: 'ok', detail }
}

export function failed(detail: string, advice?: string): Finding {
  return { status: 'failed', detail, advice }
}

/** Every credential of a configuration and of the environment, in clear: to be looked for, not shown. */
export function secretsOf(config: Config | undefined, env: Readonly<Record<string, string | undefined>>): string[] {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = env
  const sections = config === undefined ? [] : Object.values(config.sections as object)
  const settings = sections.flatMap((section) => Object.values(section as object))
  const given = settings.filter((value): value is Secret => value instanceof Secret).map((secret) => secret.reveal())
  return [...given, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN].filter(isLong)
}

/** Shorter ones would blot out words. */
function isLong(text: string | undefined): text is string {
  return text !== undefined && text.length >= 4
}

function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

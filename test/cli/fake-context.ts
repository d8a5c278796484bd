/** A terminal and an executor for the commands: what was written and what was asked for, without any worker. */
import type { Plan } from '../../partitioner/plan.ts'
import type { CliContext, CliJob, SetAsideRecord } from '../../src/cli/context.ts'
import { loadConfig } from '../../src/config/config.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'

export interface FakeContext extends CliContext {
  readonly written: { stdout: string; stderr: string }
  /** Method and arguments of every call to the executor. */
  readonly asked: [string, ...unknown[]][]
  interrupt(): void
}

export interface FakeOptions {
  readonly isTTY?: boolean
  readonly cwd?: string
  /** By the backend's name. */
  readonly stores?: Readonly<Record<string, StorageBackend>>
  readonly config?: Readonly<Record<string, unknown>>
  /** What whoever sits at the terminal answers. */
  readonly reply?: string
  /** Set aside by its jobs. */
  readonly quarantined?: readonly SetAsideRecord[]
  /** Its jobs have a journal. */
  readonly durable?: boolean
}

export function fakeContext(answer: () => unknown, options: FakeOptions = {}): FakeContext {
  const written = { stdout: '', stderr: '' }
  const asked: [string, ...unknown[]][] = []
  const listeners = new Set<() => void>()
  const jobOf = (...call: [string, ...unknown[]]): CliJob => {
    asked.push(call)
    const result = Promise.resolve().then(answer)
    return Object.assign(result, {
      name: 'abc123-0-M000',
      durable: options.durable === true,
      quarantined: async () => options.quarantined ?? [],
      cancel: (how: unknown) => {
        asked.push(['cancel', how])
        return true
      },
    })
  }
  return {
    written,
    asked,
    interrupt: () => {
      for (const listener of listeners) listener()
    },
    cwd: options.cwd ?? process.cwd(),
    stdout: { write: (text) => (written.stdout += text), isTTY: options.isTTY },
    stderr: { write: (text) => (written.stderr += text), isTTY: options.isTTY },
    async openExecutor(given) {
      asked.push(['open', given])
      return {
        executorId: 'abc123-0',
        callAsync: (fn, data, opts) => jobOf('callAsync', fn, data, opts),
        map: (fn, source, opts) => jobOf('map', fn, source, opts),
        mapReduce: (fn, source, reduce, opts) => jobOf('mapReduce', fn, source, reduce, opts),
        plan: async (source, opts) => (await jobOf('plan', source, opts)) as Plan,
        replay: async (name, call, opts) => jobOf('replay', name, call, opts),
        resume: (name, opts) => jobOf('resume', name, opts),
        shutdown: async (opts) => {
          asked.push(['shutdown', opts])
        },
      }
    },
    async openStores(given) {
      asked.push(['stores', given])
      const { stores = {}, config = {} } = options
      return {
        config: loadConfig({ config }),
        resolve: async (name) => {
          const store = stores[name]
          if (store === undefined) throw new Error(`this test has no ${name}`)
          return store
        },
        close: async () => {
          asked.push(['close'])
        },
      }
    },
    ...(options.reply === undefined
      ? {}
      : {
          ask: async (question: string) => {
            asked.push(['ask', question])
            return options.reply as string
          },
        }),
    inspect: async () => {
      asked.push(['inspect'])
    },
    onInterrupt(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

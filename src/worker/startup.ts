/**
 * The first message to a worker: what it must know before any job. It may hold credentials, so it travels over the
 * worker's channel and nowhere else.
 */
export interface WorkerStartup {
  /** Sections of the configuration that backends are made from, as src/backends.ts takes them; plain JSON. */
  readonly config: unknown
  /** Working directory of the driver. */
  readonly cwd: string
  /** The driver's program, as its `process.argv[1]`. */
  readonly argv1: string
  /** How many workers its process has: what is bounded over a process is divided by it. Default 1. */
  readonly workersOfProcess?: number | undefined
}

export function encodeStartup(startup: WorkerStartup): Uint8Array {
  return Buffer.from(JSON.stringify(startup))
}

/** @throws Error when the bytes are no start-up message; the message quotes none of them */
export function decodeStartup(bytes: Uint8Array): WorkerStartup {
  const value = parse(Buffer.from(bytes).toString('utf8')) as Partial<WorkerStartup> | null
  if (typeof value?.cwd === 'string' && typeof value.argv1 === 'string') return value as WorkerStartup
  throw new Error('the start-up message of this worker lacks cwd or argv1: its driver is of another version')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // the parser's message would quote what may be a secret
    throw new Error('the start-up message of this worker is no JSON: its driver is of another version')
  }
}

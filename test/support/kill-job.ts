/**
 * Jobs whose calls tell where they are, so that somebody can be killed there: words counted, one output an object; and
 * lines copied without one that cannot be read, one output a part.
 */
import type { FunctionExecutor, ObjectPartition } from '../../src/entry/index.ts'
import { objects } from '../../src/entry/index.ts'

export const BUCKET = 'kill'

/** Words by object: what the outputs of an undisturbed job hold. */
export const TEXTS: Readonly<Record<string, string>> = {
  'data/a.txt': 'one two three\n'.repeat(400),
  'data/b.txt': 'two three\n'.repeat(500),
  'data/c.txt': 'three\n'.repeat(700),
}

export type Count = Record<string, number>

export function countsOf(text: string): Count {
  const counts: Count = {}
  for (const word of text.split(/\s+/)) if (word !== '') counts[word] = (counts[word] ?? 0) + 1
  return Object.fromEntries(Object.entries(counts).sort())
}

export function configOf(endpoint: string): Record<string, unknown> {
  const access = { region: 'us-east-1', accessKeyId: 'test', secretAccessKey: 'testing' }
  return { quern: { storage: 'aws_s3' }, aws_s3: { endpoint, ...access, storageBucket: BUCKET } }
}

/** Submits the job; its outputs go below `output`. */
export function submitKillJob(exec: FunctionExecutor, endpoint: string, output: string) {
  return exec.mapReduce(
    async (part: ObjectPartition, control: string): Promise<Count> => {
      // an end from within, which the caller asks for by this signal
      if (process.listenerCount('SIGUSR2') === 0) process.on('SIGUSR2', () => process.exit(3))
      await fetch(`${control}/map-begins/${process.pid}/${part.object.key}`)
      const counts: Record<string, number> = {}
      for await (const line of part.lines())
        for (const word of line.split(' ')) if (word !== '') counts[word] = (counts[word] ?? 0) + 1
      await fetch(`${control}/map-ends/${process.pid}/${part.object.key}`)
      return counts
    },
    objects(`s3://${BUCKET}/data/`),
    async (parts: Count[], control: string) => {
      if (process.listenerCount('SIGUSR2') === 0) process.on('SIGUSR2', () => process.exit(3))
      await fetch(`${control}/reduces/${process.pid}`)
      const sums: Record<string, number> = {}
      for (const part of parts) for (const [word, n] of Object.entries(part)) sums[word] = (sums[word] ?? 0) + n
      return Object.fromEntries(Object.entries(sums).sort())
    },
    {
      objChunkNumber: 2,
      objReduceByKey: true,
      extraArgs: [`${endpoint}/control`],
      extraArgsReduce: [`${endpoint}/control`],
      retries: { retries: 20, backoff: 1, maxBackoff: 5 },
      silenceTimeout: '1500ms',
      output: `s3://${BUCKET}/${output}/`,
    },
  )
}

export const POISONED = 'poison/p.txt'
/** While this object is there, the poisoned line cannot be read. */
export const POISON_WORKS = 'poison-works'
const POISON_LINE = 'POISON\n'
export const LINES: readonly string[] = Array.from({ length: 8 }, (_, i) => (i === 2 ? POISON_LINE : `line ${i}\n`))

/** What the outputs of the job have in common, in order: every line but the poisoned. */
export const READABLE = LINES.filter((line) => line !== POISON_LINE).join('')

/** Submits a job whose calls are divided until the poisoned line is found; its outputs go below `output`. */
export function submitDividingJob(exec: FunctionExecutor, endpoint: string, output: string) {
  return exec.map(
    async (part: ObjectPartition, control: string, sign: string): Promise<string> => {
      if (process.listenerCount('SIGUSR2') === 0) process.on('SIGUSR2', () => process.exit(3))
      await fetch(`${control}/map-begins/${process.pid}/${part.object.key}`)
      const poisonWorks = (await fetch(sign)).ok
      let text = ''
      for await (const line of part.lines()) {
        if (poisonWorks && line === 'POISON') throw new RangeError('it cannot be read')
        text += `${line}\n`
      }
      await fetch(`${control}/map-ends/${process.pid}/${part.object.key}`)
      return text
    },
    objects(`s3://${BUCKET}/${POISONED}`),
    {
      onFailure: 'bisect',
      extraArgs: [`${endpoint}/control`, `${endpoint}/${BUCKET}/${POISON_WORKS}`],
      // what befalls a worker is tried again, or records would be set aside for it
      retries: { retries: 20, backoff: 1, maxBackoff: 5, retryIf: ({ message }) => message !== 'it cannot be read' },
      silenceTimeout: '1500ms',
      output: `s3://${BUCKET}/${output}/`,
    },
  )
}

/**
 * A partition as a fixture: the bytes that a call reads, as a file, and a test that runs the function of the job on it.
 * The test stands where a user would write it, so it says what it cannot know.
 */
import { createWriteStream } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Partition } from '../../partitioner/plan.ts'
import { openPartition } from '../../partitioner/read.ts'
import { ValidationError } from '../core/errors.ts'
import { callId } from '../core/ids.ts'
import type { JobHead } from '../job/messages.ts'
import type { BackendResolver } from '../storage/backend.ts'
import type { StoredCall } from './stored-call.ts'

/**
 * Writes `{name}-{callId}.input` and `{name}-{callId}.test.ts` below a folder.
 * @throws ValidationError for a call that reads no partition
 */
export async function writeFixture(
  folder: string,
  name: string,
  { head, call, input }: StoredCall,
  resolve: BackendResolver,
): Promise<void> {
  const { read } = head
  if (input.type !== 'partition' || read === undefined) {
    throw new ValidationError(
      `saveFixture: only the bytes of a partition can be saved, call ${callId(call)} reads none`,
    )
  }
  const { partition, edges } = input
  const backend = await resolve(partition.object.backend)
  const base = `${name}-${callId(call)}`
  await mkdir(folder, { recursive: true })
  const reader = openPartition(partition, { backend, read, edges })
  await pipeline(reader.stream(), createWriteStream(join(folder, `${base}.input`)))
  await writeFile(join(folder, `${base}.test.ts`), testOf(base, partition, head))
}

function testOf(base: string, { object, range }: Partition, { fn, read }: JobHead): string {
  const newline = read?.objNewline
  const delimiter =
    typeof newline === 'object' && newline !== null
      ? `Buffer.from(${JSON.stringify(newline.base64)}, 'base64')`
      : JSON.stringify(newline)
  return `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FunctionExecutor, objects } from 'quern'
${functionOf(fn)}

test(${JSON.stringify(`${base}: ${object.url} [${range.start}, ${range.end})`)}, async () => {
  const exec = new FunctionExecutor({ backend: 'inline', showProgressbar: false })
  const input = objects(new URL(${JSON.stringify(`./${base}.input`)}, import.meta.url))
  try {
    const [result] = await exec.map(map, input, { durable: false, objNewline: ${delimiter}, compression: null })
    assert.notEqual(result, undefined) // what is expected of it
  } finally {
    await exec.shutdown()
  }
})
`
}

/** The function as \`map\`. */
function functionOf(fn: JobHead['fn']): string {
  if (fn.kind === 'text') return `\nconst map = ${fn.text}`
  if (fn.kind === 'module' && fn.args === undefined && /^[\w$]+$/.test(fn.export)) {
    return `import { ${fn.export === 'map' ? 'map' : `${fn.export} as map`} } from ${JSON.stringify(fn.url)}`
  }
  return `\nconst map = async () => {\n  throw new Error('import the map function of the job here')\n}`
}

/**
 * A partition as a fixture: the bytes that a call reads, as a file, and a test that runs the function of the job on it, in
 * the form of Vitest where the project around the folder has that, else of node:test. As it is written it ends as the
 * call did: it throws what that threw, or expects what that gave. What cannot be written down, it says.
 */
import { createWriteStream, existsSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { resolve as absolute, dirname, join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import type { Partition } from '../../partitioner/plan.ts'
import { openPartition } from '../../partitioner/read.ts'
import { ValidationError } from '../core/errors.ts'
import { callId } from '../core/ids.ts'
import { decodeValueWith } from '../functions/codec.ts'
import type { JobHead } from '../job/messages.ts'
import type { BackendResolver } from '../storage/backend.ts'
import type { StoredCall } from './stored-call.ts'

/** Where a fixture is to be written, and of which job. */
export interface FixturePlace {
  readonly folder: string
  /** Of the job. */
  readonly name: string
}

/**
 * Writes `{name}-{callId}.input` and `{name}-{callId}.test.ts` below a folder; the test expects nothing yet.
 * @throws ValidationError for a call that reads no partition
 */
export async function writeFixture(
  place: FixturePlace,
  { head, extraArgs, call, input }: StoredCall,
  resolve: BackendResolver,
): Promise<Fixture> {
  const { read } = head
  if (input.type !== 'partition' || read === undefined) {
    throw new ValidationError(
      `saveFixture: only the bytes of a partition can be saved, call ${callId(call)} reads none`,
    )
  }
  const { partition, edges } = input
  const backend = await resolve(partition.object.backend)
  const folder = absolute(place.folder)
  const base = `${place.name}-${callId(call)}`
  await mkdir(folder, { recursive: true })
  const reader = openPartition(partition, { backend, read, edges })
  await pipeline(reader.stream(), createWriteStream(join(folder, `${base}.input`)))
  // functions among them cannot be written down, whatever they are
  const args = await decodeValueWith(extraArgs, { loadFunction: async () => () => undefined })
  const fixture = new Fixture(folder, base, { partition, head, extraArgs: args })
  await fixture.write()
  return fixture
}

interface Tested {
  readonly partition: Partition
  readonly head: JobHead
  readonly extraArgs: unknown
}

export class Fixture {
  readonly #folder: string
  readonly #base: string
  readonly #tested: Tested

  constructor(folder: string, base: string, tested: Tested) {
    this.#folder = folder
    this.#base = base
    this.#tested = tested
  }

  /** The test once more, now that it is known what the call gives. */
  expects(result: unknown): Promise<void> {
    return this.write(literalOf(result))
  }

  write(expected?: string): Promise<void> {
    const text = testOf(this.#folder, this.#base, this.#tested, expected)
    return writeFile(join(this.#folder, `${this.#base}.test.ts`), text)
  }
}

const NODE = {
  imports: `import assert from 'node:assert/strict'\nimport { test } from 'node:test'`,
  equal: (expected: string) => `assert.deepEqual(result, ${expected})`,
}
const VITEST = {
  imports: `import { expect, test } from 'vitest'`,
  equal: (expected: string) => `expect(result).toEqual(${expected})`,
}

function testOf(folder: string, base: string, { partition, head, extraArgs }: Tested, expected?: string): string {
  const { object, range } = partition
  const runner = hasVitest(folder) ? VITEST : NODE
  const check = expected === undefined ? '// result: what is expected of it' : runner.equal(expected)
  return `${runner.imports}
import { FunctionExecutor, objects } from 'quern'
${functionOf(folder, head.fn)}

test(${JSON.stringify(`${base}: ${object.url} [${range.start}, ${range.end})`)}, async () => {
  const exec = new FunctionExecutor({ backend: 'inline', showProgressbar: false })
  const input = objects(new URL(${JSON.stringify(`./${base}.input`)}, import.meta.url))
  const options = { durable: false, objNewline: ${delimiterOf(head)}, compression: null${argumentsOf(extraArgs)} }
  try {
    const [result] = await exec.map(map, input, options)
    ${check}
  } finally {
    await exec.shutdown()
  }
})
`
}

function delimiterOf({ read }: JobHead): string {
  const newline = read?.objNewline
  return typeof newline === 'object' && newline !== null
    ? `Buffer.from(${JSON.stringify(newline.base64)}, 'base64')`
    : JSON.stringify(newline)
}

function argumentsOf(extraArgs: unknown): string {
  if (isDeepStrictEqual(extraArgs, [])) return ''
  const literal = literalOf(extraArgs)
  return literal === undefined ? ' /* extraArgs: they cannot be written here */' : `, extraArgs: ${literal}`
}

/** The function as \`map\`. */
function functionOf(folder: string, fn: JobHead['fn']): string {
  if (fn.kind === 'text') return `\nconst map = ${fn.text}`
  const args = fn.kind === 'module' && fn.args !== undefined ? literalOf(fn.args)?.slice(1, -1) : ''
  if (fn.kind === 'module' && args !== undefined && !args.includes('"$fn"') && /^[\w$]+(\.[\w$]+)*$/.test(fn.export)) {
    const call = fn.args === undefined ? '' : `(${args})`
    return `import * as source from ${JSON.stringify(specifierOf(folder, fn.url))}\n\nconst map = source.${fn.export}${call}`
  }
  const [unit] = fn.kind === 'closure' ? fn.units : []
  const where = unit?.kind === 'code' ? `'${unit.name}' of ${unit.file}` : 'the map function of the job'
  return `\nconst map = async () => {\n  throw new Error(${JSON.stringify(`import ${where} here`)})\n}`
}

function specifierOf(folder: string, url: string): string {
  if (!url.startsWith('file:')) return url
  const path = relative(folder, fileURLToPath(url)).replaceAll('\\', '/')
  return path.startsWith('.') ? path : `./${path}`
}

/** A value as source; undefined where JSON does not hold it. */
function literalOf(value: unknown): string | undefined {
  if (value === undefined) return 'undefined'
  const text = JSON.stringify(value)
  return text !== undefined && isDeepStrictEqual(JSON.parse(text), value) ? text : undefined
}

/** Whether the package that the folder is in has Vitest among what it depends on. */
function hasVitest(folder: string): boolean {
  const file = join(folder, 'package.json')
  if (existsSync(file)) return /"vitest"\s*:/.test(readFileSync(file, 'utf8'))
  return dirname(folder) !== folder && hasVitest(dirname(folder))
}

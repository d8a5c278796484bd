/**
 * A function as one piece of bytes that needs nothing of the file system it was made on: the shipped function, and the
 * modules it refers to, bundled. Content-addressed: its hash names it, and its modules are loaded once a process.
 *
 *   "QFN1" · u32 length of the head · head (JSON) · body (JSON), whose SHA-256 the head gives
 *
 * What was not bundled is left to the worker's own installation: packages found from its working directory, local
 * modules where they are here.
 */
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Script } from 'node:vm'
import { messageOf, SerializationError } from '../core/errors.ts'
import { encodeValue } from './codec.ts'
import { counter, dynamicImport, type ModuleLoader, withDefault } from './load-closure.ts'
import { load } from './load-function.ts'
import { ensureTypeScript, exportOf, follow, importFor, metaOf, requireOf } from './load-module.ts'
import type { ShippedFunction, ShippedImport } from './shipped.ts'

export interface FunctionBlob {
  /** SHA-256 of its body, in hex. */
  readonly hash: string
  readonly bytes: Uint8Array
}

export interface BlobBody {
  readonly fn: ShippedFunction
  /** CommonJS that gives `modules`, by the keys of `moduleKey`; empty where no module is bundled. */
  readonly code: string
}

interface BlobHead {
  readonly hash: string
  readonly codec: number
  readonly node: number
  readonly bytes: number
}

const MAGIC = Buffer.from('QFN1')
const HEAD_AT = MAGIC.byteLength + 4

// a cache: the same hash is the same function
const loaded = new Map<string, () => Promise<unknown>>()
const MAX_LOADED = 100

/** Whether a specifier means a file rather than a package. */
export function isLocal(specifier: string): boolean {
  return /^(?:\.{0,2}\/|file:)/.test(specifier)
}

/** Under what a bundled module is found: what a module asked for, or a module by its URL. */
export function moduleKey(parent: string, specifier: string, as: 'namespace' | 'require'): string {
  return JSON.stringify([parent, specifier, as])
}

export function makeBlob(body: BlobBody): FunctionBlob {
  const bytes = Buffer.from(JSON.stringify(body))
  const hash = hashOf(bytes)
  const head: BlobHead = { hash, codec: codecVersion(), node: nodeMajor(process.version), bytes: bytes.byteLength }
  const headBytes = Buffer.from(JSON.stringify(head))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(headBytes.byteLength)
  return { hash, bytes: Buffer.concat([MAGIC, length, headBytes, bytes]) }
}

/**
 * The function of a blob.
 *
 * @throws SerializationError when it is damaged, was made by another Node major or codec, or needs what is not installed
 */
export async function loadBlob(bytes: Uint8Array): Promise<unknown> {
  const { head, body } = openBlob(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  const known = loaded.get(head.hash)
  if (known !== undefined) return known()
  if (loaded.size >= MAX_LOADED) loaded.clear()
  const { fn, code } = JSON.parse(body.toString()) as BlobBody
  // what was left out of a bundle may be TypeScript
  if (/require\("[^"]+\.[mc]?tsx?"\)/.test(code)) await ensureTypeScript()
  const modules = bundledModules(evaluate(code, head.hash))
  const loading = load(fn, modules)
  // what one job leaves in the variables it captured is not the next one's
  const again = fn.kind === 'closure' && fn.values !== undefined ? () => load(fn, modules) : () => loading
  loaded.set(head.hash, again)
  loading.catch(() => loaded.delete(head.hash))
  return loading
}

function openBlob(bytes: Buffer): { head: BlobHead; body: Buffer } {
  const headEnd = bytes.byteLength < HEAD_AT ? Number.NaN : HEAD_AT + bytes.readUInt32LE(MAGIC.byteLength)
  if (!bytes.subarray(0, MAGIC.byteLength).equals(MAGIC) || !(headEnd <= bytes.byteLength)) {
    throw new SerializationError(`these ${bytes.byteLength} bytes are no function blob of this quern`)
  }
  const head = parseHead(bytes.toString('utf8', HEAD_AT, headEnd))
  const here = nodeMajor(process.version)
  if (head.node !== here) {
    throw new SerializationError(
      `the function was shipped by Node ${head.node}, this worker runs Node ${here}: use the same major version`,
    )
  }
  if (head.codec !== codecVersion()) {
    throw new SerializationError(
      `the function's values are in format ${head.codec}, this worker reads ${codecVersion()}: install the same quern`,
    )
  }
  const body = bytes.subarray(headEnd)
  if (body.byteLength !== head.bytes || hashOf(body) !== head.hash) {
    throw new SerializationError(`a function blob is damaged: expected ${head.bytes} bytes of hash ${head.hash}`)
  }
  return { head, body }
}

function parseHead(text: string): BlobHead {
  try {
    return JSON.parse(text) as BlobHead
  } catch (cause) {
    throw new SerializationError('the head of a function blob cannot be read', { cause })
  }
}

/** The modules of a bundle, by key. */
function evaluate(code: string, hash: string): Readonly<Record<string, object>> {
  if (code === '') return {}
  const filename = join(process.cwd(), `quern-${hash.slice(0, 12)}.cjs`)
  const module: { exports: { modules?: Record<string, object> } } = { exports: {} }
  try {
    const run = new Script(`(module, exports, require) => {${code}\n}`, { filename }).runInThisContext()
    run(module, module.exports, createRequire(filename))
  } catch (cause) {
    throw new SerializationError(`the modules of a shipped function cannot be loaded here: ${messageOf(cause)}`, {
      cause,
    })
  }
  return module.exports.modules ?? {}
}

function bundledModules(modules: Readonly<Record<string, object>>): ModuleLoader {
  const here = `${join(process.cwd(), 'quern')}.mjs`
  const importHere = (parent: string, specifier: string, attributes?: object) => {
    const bundled = modules[moduleKey(parent, specifier, 'namespace')]
    return bundled === undefined ? importFor(isLocal(specifier) ? parent : here, specifier, attributes) : bundled
  }
  return {
    async load(parent: string, { specifier, as, member, attributes }: ShippedImport) {
      if (as === 'meta') return metaOf(parent)
      if (as === 'counter') return counter()
      if (as === 'require()') return requireOf(here)
      if (as === 'import()') return dynamicImport(async (name, given) => importHere(parent, name, given))
      if (as === 'namespace') return importHere(parent, specifier, attributes)
      const from = isLocal(specifier) ? parent : here
      const required: unknown = modules[moduleKey(parent, specifier, 'require')] ?? requireOf(from)(specifier)
      const whole = as === 'interop' ? withDefault(required) : required
      return member === undefined ? whole : (whole as Record<string, unknown>)[member]
    },
    async exportOf(url, path) {
      const bundled = modules[moduleKey(url, url, 'namespace')]
      return bundled === undefined ? exportOf(url, path) : follow(bundled, url, path)
    },
  }
}

function codecVersion(): number {
  return encodeValue(null)[0] as number
}

function nodeMajor(version: string): number {
  return Number(/\d+/.exec(version)?.[0])
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

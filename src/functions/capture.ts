/**
 * Decides, where the user hands over a function, how it travels: by reference to the module that exports it, or by its
 * text when it closes over nothing. What can do neither is refused here, by name, never in a worker.
 *
 * The program's own entry module is never referred to: a worker that loads it would run the program again.
 */
import { realpathSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { SerializationError, ValidationError } from '../core/errors.ts'
import { type FunctionOrigin, functionOrigin } from './function-origin.ts'
import { analyseFunctionText } from './function-text.ts'
import { referenceOf, type ShippedFunction, type ShippedReducer } from './shipped.ts'

// a cache: functions do not change, so the second capture is the first one's answer
const captured = new WeakMap<object, ShippedFunction>()

/**
 * The form in which `fn` travels. `what` names the option in messages: `mapReduce map function`.
 *
 * At once for references and closed text; a promise where a module has to be looked into.
 *
 * @throws ValidationError when it is no function
 * @throws SerializationError naming what it uses from outside, where it is defined and what to do
 */
export function captureFunction(fn: unknown, what: string): ShippedFunction | Promise<ShippedFunction> {
  if (typeof fn !== 'function') throw new ValidationError(`${what}: expected a function, got ${describe(fn)}`)
  const known = captured.get(fn)
  if (known !== undefined) return known
  const reference = referenceOf(fn)
  if (reference !== undefined) return remember(fn, shippedModule(reference, what))
  const name = fn.name === '' ? 'anonymous' : fn.name
  const text = analyseFunctionText(Function.prototype.toString.call(fn))
  if ('reason' in text) throw new SerializationError(`${what} '${name}' cannot travel to a worker: ${text.reason}`)
  if (text.obstacles.length === 0) return remember(fn, { kind: 'text', text: text.expression, name })
  return captureTied(fn, text.obstacles, `${what} '${name}'`)
}

/** A reference as it travels. @throws SerializationError when it is to the entry module */
export function shippedModule(reference: ShippedReducer, what: string): ShippedFunction {
  if (isEntryModule(reference.url)) {
    throw new SerializationError(
      `${what}: refers to the program's entry module ${reference.url}, which a worker would run again; ` +
        'move the function to a module of its own and export it',
    )
  }
  return { kind: 'module', ...reference }
}

/** What a value is, in a word or two, for messages. */
export function describe(value: unknown): string {
  if (typeof value === 'string')
    return `the string ${JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)}`
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return 'an array'
  const name = (value as { constructor?: { name?: unknown } }).constructor?.name
  return typeof name === 'string' && name !== 'Object' && name !== '' ? `an instance of ${name}` : 'an object'
}

/** A function whose text alone is not enough. */
function captureTied(fn: object, obstacles: readonly string[], who: string): Promise<ShippedFunction> {
  const origin = functionOrigin(fn)
  const refusal = (cause?: unknown) =>
    new SerializationError(refusalText(who, obstacles, origin), cause ? { cause } : {})
  if (origin === undefined || isEntryModule(origin.url)) throw refusal()
  return exportOf(fn, origin.url).then(
    (path) => {
      if (path === undefined) throw refusal()
      return remember(fn, { kind: 'module', url: origin.url, export: path })
    },
    (cause) => {
      throw refusal(cause)
    },
  )
}

function remember(fn: object, shipped: ShippedFunction): ShippedFunction {
  captured.set(fn, shipped)
  return shipped
}

/** The path of the export of the module at `url` that is this very function. */
async function exportOf(fn: object, url: string): Promise<string | undefined> {
  const module = (await import(url)) as Record<string, unknown>
  for (const name of Object.keys(module)) if (module[name] === fn) return name
  const byDefault = module.default
  if (typeof byDefault !== 'object' || byDefault === null) return undefined
  const held = Object.entries(byDefault).find(([name, value]) => value === fn && !name.includes('.'))
  return held === undefined ? undefined : `default.${held[0]}`
}

function refusalText(who: string, obstacles: readonly string[], origin: FunctionOrigin | undefined): string {
  const where = origin === undefined ? '' : ` (${origin.url}:${origin.line}:${origin.column})`
  return (
    `${who}${where} cannot travel to a worker: it depends on what stays behind: ${obstacles.join(', ')}. ` +
    'Pass values in extraArgs and import modules inside the function (await import), ' +
    'or move it to a module of its own and export it from there.'
  )
}

/** The program itself, a test file, a REPL: what runs because it was started, not because it was imported. */
function isEntryModule(url: string): boolean {
  const clean = url.replace(/[?#].*$/, '')
  const entry = process.argv[1]
  if (entry !== undefined && fileUrls(entry).includes(clean)) return true
  const testFile = (globalThis as { __vitest_worker__?: { filepath?: string } }).__vitest_worker__?.filepath
  return testFile !== undefined && pathToFileURL(testFile).href === clean
}

function fileUrls(path: string): string[] {
  const given = pathToFileURL(path).href
  // a bin link, or a path given without its extension
  const candidates = [path, `${path}.js`, `${path}.ts`].flatMap((candidate) => {
    try {
      return [pathToFileURL(realpathSync(candidate)).href]
    } catch {
      return []
    }
  })
  return [given, ...candidates]
}

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { captureFunction } from '../../src/functions/capture.ts'
import { loadFunction } from '../../src/functions/load-function.ts'
import { moduleFunction } from '../../src/functions/module-function.ts'
import type { ShippedFunction } from '../../src/functions/shipped.ts'
import { isWorkerGlobal } from '../../src/functions/worker-globals.ts'
import tiedDefault, { named, tied, whereAmI } from './modules/tied.ts'

type Fn = (...args: unknown[]) => unknown
const MODULE = new URL('./modules/tied.ts', import.meta.url).href

/** As it would run in a worker: through JSON. */
async function travel(fn: unknown): Promise<Fn> {
  const shipped = await captureFunction(fn, 'map function')
  return (await loadFunction(JSON.parse(JSON.stringify(shipped)) as ShippedFunction)) as Fn
}

async function refusal(fn: unknown): Promise<string> {
  try {
    await captureFunction(fn, 'map function')
  } catch (error) {
    expect(error).toMatchObject({ code: 'SERIALIZATION' })
    return (error as Error).message
  }
  throw new Error('it was not refused')
}

const methods = {
  plain(x: number) {
    return x * 2
  },
  async 'not-a-name'(x: number) {
    return x * 3
  },
  [`com${'puted'}`](x: number) {
    return x * 4
  },
  get(x: number) {
    return x * 5
  },
  usesThis() {
    return this
  },
  usesSuper() {
    return super.toString()
  },
  nestedThis() {
    return function (this: unknown) {
      return this
    }.call(7)
  },
}

describe('captureFunction: text', () => {
  const forms: [string, unknown, unknown][] = [
    ['arrow', (x: number) => x + 1, 22],
    ['async arrow', async (x: number) => x + 1, 22],
    // biome-ignore lint/complexity/useArrowFunction: the form is what is tested
    ['function', function (x: number) { return x + 1 }, 22], // biome-ignore format: one line a case
    ['recursive function', function fact(n: number): number { return n > 1 ? n * fact(n - 1) : 1 }, 51090942171709440000], // biome-ignore format: one line a case
    [
      'destructuring and defaults',
      (x: number, { y = x, ...rest } = {} as { y?: number }) => x + y + Object.keys(rest).length,
      42,
    ],
    ['method', methods.plain, 42],
    ['async method with a string for a name', methods['not-a-name'], 63],
    ['method with a computed name', (methods as unknown as Record<string, unknown>).computed, 84],
    ['method named get', methods.get, 105],
    ['method with a function that has its own this', methods.nestedThis, 7],
    ['class inside', (x: number) => { class A { #v = x; get() { return this.#v } } return new A().get() }, 21], // biome-ignore format: one line a case
    ['typeof of what may not exist', (x: number) => (typeof window === 'undefined' ? x : 0), 21],
    ['named inner functions (esbuild __name)', (x: number) => { const inner = (y: number) => y; return inner(x) }, 21], // biome-ignore format: one line a case
    ['globals of Node', (x: number) => Buffer.from([x]).length + Number(new URL('http://h/20').pathname.slice(1)), 21],
    ['regular expressions and templates', (x: number) => `${x}`.replace(/2/g, '3'), '31'],
  ]
  it.each(forms)('%s', async (_name, fn, outcome) => {
    expect(captureFunction(fn, 'f')).toMatchObject({ kind: 'text' })
    expect(await (await travel(fn))(21)).toEqual(outcome)
  })

  it('generators', async () => {
    const fn = await travel(function* (n: number) {
      for (let i = 0; i < n; i++) yield i
    })
    expect([...(fn(3) as Iterable<number>)]).toEqual([0, 1, 2])
  })

  it('text in which esbuild named a function', async () => {
    const fn = new Function('return (x) => { const g = __name((y) => y + 1, "g"); return g(x) }')()
    expect((await travel(fn))(1)).toBe(2)
  })

  it('runs in strict mode', async () => {
    expect(await (await travel(function (this: unknown) { return this === undefined }))()).toBe(true) // biome-ignore format: one line
  })

  it('gives the same answer at once when asked again', () => {
    const fn = (x: number) => x
    expect(captureFunction(fn, 'a')).toBe(captureFunction(fn, 'b'))
  })

  it('keeps the lines of a stack in the name of the function', async () => {
    const fail = await travel(function boom() { throw new Error('x') }) // biome-ignore format: one line
    expect(() => fail()).toThrow(expect.objectContaining({ stack: expect.stringContaining('boom.function.js') }))
  })
})

describe('captureFunction: refusals', () => {
  const cases: [string, unknown, string[]][] = [
    ['a name that is nowhere', () => globalCounter, ["'globalCounter' in function", 'not defined here']],
    ['several', () => [globalCounter, otherCounter], ["'globalCounter'", "'otherCounter'"]],
    ['an assignment to one', () => { globalCounter += 1 }, ["'globalCounter'"]], // biome-ignore format: one line a case
    ['a global the program added', () => addedHere, ["'addedHere'", 'global of this program']],
    ['this of an arrow', methodsOf().arrow, ['`this`']],
    ['this of a method', methods.usesThis, ['`this`']],
    ['super', methods.usesSuper, ['`super`']],
    ['new.target', targetArrow(), ['new.target']],
    ['arguments of an outer function', argumentsArrow(), ["'arguments'"]],
    // biome-ignore lint/security/noGlobalEval: what is tested
    ['direct eval', (x: string) => eval(x), ['direct eval']],
    ['a class', class Job {}, ["'Job'", 'class']],
    ['a native function that is no intrinsic', new Intl.Collator().compare, ['native']],
    ['a proxy', new Proxy(() => 1, {}), ['Proxy']],
    ['a getter', Object.getOwnPropertyDescriptor({ get a() { return 1 } }, 'a')?.get, ['getter']], // biome-ignore format: one line a case
  ]
  it.each(cases)('%s', async (_name, fn, parts) => {
    Object.assign(globalThis, { addedHere: 1 })
    const message = await refusal(fn)
    for (const part of ['map function', ...parts]) expect(message).toContain(part)
  })

  it.each([
    [undefined, 'undefined'],
    ['count.ts', 'the string "count.ts"'],
    [{ map: 1 }, 'an object'],
    [null, 'null'],
  ])('what is no function: %j', (value, said) => {
    expect(() => captureFunction(value, 'map function')).toThrow(
      expect.objectContaining({ code: 'VALIDATION', message: `map function: expected a function, got ${said}` }),
    )
  })

  it('says where it is defined and what to do', async () => {
    const here = /capture\.test\.ts:(\d+):\d+\)/.exec(await refusal(() => globalCounter))
    expect(Number(here?.[1])).toBe(lineOf('refusal(() => globalCounter)'))
    expect(await refusal(() => globalCounter)).toMatch(/Define or import it\.$/)
  })
})

describe('captureFunction: modules', () => {
  it.each([
    ['a named export', tied, 'tied', 1, 42],
    ['one that uses an import', named, 'named', '/a/b', 'b'],
    ['one that uses import.meta', whereAmI, 'whereAmI', undefined, MODULE],
  ])('%s', async (_name, fn, path, input, outcome) => {
    const shipped = await captureFunction(fn, 'f')
    expect(shipped).toMatchObject({ kind: 'module', export: path })
    expect((shipped as { url: string }).url).toBe(MODULE)
    expect(((await loadFunction(shipped)) as Fn)(input)).toBe(outcome)
    expect(captureFunction(fn, 'f')).toBe(shipped)
  })

  it('what is only held by an export travels by value', async () => {
    expect(captureFunction(tiedDefault.held, 'f')).toMatchObject({ kind: 'closure' })
    expect((await travel(tiedDefault.held))(42)).toBe(1)
  })

  it('an explicit reference', async () => {
    const fn = moduleFunction<typeof tied>(MODULE, 'tied')
    expect(captureFunction(fn, 'f')).toEqual({ kind: 'module', url: MODULE, export: 'tied' })
    expect(await fn(1)).toBe(42)
  })

  it.each([
    ['not a url', './tied.ts', 'tied'],
    ['no name', MODULE, ''],
  ])('a reference with %s', (_n, url, name) => {
    expect(() => moduleFunction(url, name)).toThrow(expect.objectContaining({ code: 'VALIDATION' }))
  })

  it('never refers to the file that was started', () => {
    expect(() => captureFunction(moduleFunction(import.meta.url, 'x'), 'f')).toThrow(/entry module/)
  })

  it('in a plain process with tsx: the same', () => {
    const script = `
      import { captureFunction } from '${new URL('../../src/functions/capture.ts', import.meta.url).href}'
      import { tied, hidden } from '${MODULE}'
      const local = 1
      console.log(JSON.stringify([tied, hidden(), () => local].map((fn) => captureFunction(fn, 'f'))))`
    const options = { encoding: 'utf8', cwd: new URL('../..', import.meta.url) } as const
    const output = execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], options)
    const [shipped, hidden, own] = JSON.parse(output) as ShippedFunction[]
    expect(shipped).toEqual({ kind: 'module', url: MODULE, export: 'tied' })
    expect(hidden).toMatchObject({ kind: 'closure', units: [{ module: MODULE, vars: ['offset'] }] })
    expect(own).toMatchObject({ kind: 'closure', units: [{ vars: ['local'] }] })
  })
})

describe('isWorkerGlobal', () => {
  it('knows every global of a plain Node process, and not what the program added', () => {
    const script = 'console.log(JSON.stringify(Object.getOwnPropertyNames(globalThis)))'
    const names = JSON.parse(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })) as string[]
    // node -e adds what belongs to CommonJS, and the built-in modules
    const added = new Set(['require', 'module', 'exports', '__filename', '__dirname', ...builtinModules])
    const processGlobals = names.filter((name) => !added.has(name) || name === 'process')
    expect(processGlobals.filter((name) => !isWorkerGlobal(name))).toEqual([])
    Object.assign(globalThis, { addedByProgram: 1 })
    expect(['require', 'module', '__dirname', 'describe', 'window', 'addedByProgram'].filter(isWorkerGlobal)).toEqual(
      [],
    )
  })
})

declare let globalCounter: number
declare const otherCounter: number
declare const addedHere: number
declare const window: unknown

function methodsOf(this: unknown) {
  return { arrow: () => this }
}

function targetArrow() {
  return () => new.target
}

function argumentsArrow(..._args: unknown[]) {
  // biome-ignore lint/complexity/noArguments: what is tested
  return () => arguments.length
}

/** Of the first line of this file that holds `text`. */
function lineOf(text: string): number {
  const lines = readFileSync(fileURLToPath(import.meta.url), 'utf8').split('\n')
  return lines.findIndex((line) => line.includes(text)) + 1
}

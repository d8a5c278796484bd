/**
 * A program of closures, run by every runner: for each it prints how it was shipped and what it gives here, or how it was
 * refused. What is marked `esm` is left out where the program is CommonJS.
 */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path, { basename, join as joined } from 'node:path'
import * as url from 'node:url'
import picomatch from 'picomatch'
import * as yaml from 'yaml'
import { captureFunction } from '../../../src/functions/capture.ts'
import * as values from './values.ts'
import twice, { calls, count, FACTOR, Shape as Polygon, scale } from './values.ts'

const LIMIT = 10
const TABLE = { rows: [1, 2, 3], by: new Map([['a', 1]]) }
const WORDS: ReadonlySet<string> = new Set(['a', 'the'])
let mutable = 5
const { max } = Math
const isArray = Array.isArray
const shared = { n: 1 }
const lookup = {
  shared,
  add: (x: number) => x + shared.n,
  self(this: { base: number }, x: number) {
    return x + this.base
  },
  base: 4,
}
const bindings = {
  all: [
    function (this: { a: number }, b: number, c: number) {
      return this.a + b + c
    }.bind({ a: 1 }, 10),
  ],
  size: (): number => 0,
}
bindings.size = function (this: typeof bindings) {
  return this.all.length
}.bind(bindings)
const globalPath = globalThis
const { sep } = path
const escaped = /[.*]/g
const bytes = Uint8Array.of(1, 2, 3)

function helper(x: number): number {
  return x + LIMIT
}
const arrowHelper = (x: number): number => helper(x) * 2
function isEven(n: number): boolean {
  return n === 0 ? true : isOdd(n - 1)
}
function isOdd(n: number): boolean {
  return n === 0 ? false : isEven(n - 1)
}
function* upTo(n: number): Generator<number> {
  for (let i = 0; i < n; i++) yield i
}
async function* chunksOf(n: number): AsyncGenerator<number> {
  for (const i of upTo(n)) yield i * LIMIT
}
class Point {
  static readonly origin = 7
  #secret = 2
  readonly x: number
  constructor(x: number) {
    this.x = x
  }
  norm(): number {
    return this.x + this.#secret + LIMIT
  }
}
class Moved extends Point {
  static from(x: number): Moved {
    return new Moved(x + Moved.origin)
  }
  override norm(): number {
    return super.norm() + 100
  }
}
class Lonely extends Error {
  readonly code = 'LONELY'
}
const counters = Object.assign((x: number) => x + counters.step, { step: 6 })
const nested = (depth: number): (() => number) => (depth === 0 ? () => LIMIT : () => nested(depth - 1)() + 1)
const Color = { Red: 1, Green: 2 } as const
const make = {
  arrow: (local: number) => (x: number) => x + local,
  object: (local: { n: number }) => (x: number) => x + local.n,
  shadow: (LIMIT: number) => (x: number) => x + LIMIT,
  // biome-ignore lint/suspicious/noShadowRestrictedNames: what is tested
  builtinShadow: (Map: number) => (x: number) => x + Map,
  named: (local: number) =>
    function inner(x: number): number {
      return x === 0 ? local : inner(x - 1)
    },
  twoOf: (local: number) => {
    const a = (x: number) => x + local
    const b = (x: number) => a(x) * local
    return (x: number) => a(x) + b(x)
  },
  loop: () => {
    const made: ((x: number) => number)[] = []
    for (let i = 0; i < 3; i++) made.push((x) => x + i)
    return made[2] as (x: number) => number
  },
  method: (local: number) =>
    ({
      run(x: number) {
        return x + local
      },
    }).run,
  thisArrow() {
    return (x: number) => [x, this]
  },
  args(..._: unknown[]) {
    // biome-ignore lint/complexity/noArguments: what is tested
    return () => arguments.length
  },
  target: function () {
    return () => new.target
  },
  superArrow: {
    go() {
      return () => super.toString()
    },
  },
  closeOver: (fn: (x: number) => number) => (x: number) => fn(x) + 1,
  written: () => {
    let total = 0
    return (x: number) => {
      total += x
      return total
    }
  },
  counted: () => {
    let n = 0
    return () => n++
  },
  spread: () => {
    let a: number | undefined = 0
    return (x: number[]) => {
      ;[a] = x
      return a
    }
  },
  looped: () => {
    let key = ''
    return (x: object) => {
      for (key in x) return key
      return ''
    }
  },
}

type Anything = ReturnType<typeof JSON.parse>
const runs: Record<string, [fn: (...args: Anything[]) => unknown, ...args: unknown[]]> = {
  nothing: [(x: number) => x + 1, 1],
  'a local of a factory': [make.arrow(5), 1],
  'an object of a factory': [make.object({ n: 3 }), 1],
  'a parameter that hides a constant': [make.shadow(1), 1],
  'a parameter that hides an import': [
    (
      (basename: number) => (x: number) =>
        x + basename
    )(1),
    1,
  ],
  'a parameter that hides a global': [make.builtinShadow(1), 1],
  'a named function that calls itself': [make.named(9), 3],
  'two functions that share a local': [make.twoOf(2), 3],
  'a loop variable': [make.loop(), 1],
  'a method with a captured local': [make.method(3), 1],
  'a function given to a factory': [make.closeOver((x) => x * LIMIT), 2],
  'a function of a factory given to a factory': [make.closeOver(make.arrow(4)), 2],
  'a constant': [(x: number) => x + LIMIT, 1],
  'a let': [(x: number) => x + mutable, 1],
  'an object with a Map': [(k: string) => [TABLE.rows.length, TABLE.by.get(k)], 'a'],
  'a Set': [(w: string) => WORDS.has(w), 'the'],
  'a regular expression': [(s: string) => s.replace(escaped, '-'), 'a.b*c'],
  bytes: [() => [...bytes]],
  'an object of constants': [() => Color.Green],
  'a helper': [(x: number) => helper(x), 1],
  'a helper of a helper': [(x: number) => arrowHelper(x), 1],
  'the helper itself': [helper, 1],
  'mutual recursion': [(n: number) => [isEven(n), isOdd(n)], 7],
  'recursion through a factory': [() => nested(3)()],
  'a generator': [(n: number) => [...upTo(n)], 4],
  'an async generator': [
    async (n: number) => {
      const all = []
      for await (const x of chunksOf(n)) all.push(x)
      return all
    },
    3,
  ],
  async: [async (x: number) => (await Promise.resolve(x)) + LIMIT, 1],
  'a generator function itself': [
    function* (n: number) {
      yield n + LIMIT
    },
    1,
  ],
  'a class': [(x: number) => new Point(x).norm(), 1],
  'a class with a base': [(x: number) => Moved.from(x).norm(), 1],
  'instanceof a captured class': [(x: number) => new Moved(x) instanceof Point, 1],
  'a class that extends a global': [
    () => {
      try {
        throw new Lonely('x')
      } catch (e) {
        return [(e as Lonely).code, e instanceof Lonely, e instanceof Error]
      }
    },
  ],
  'a static field': [() => Point.origin],
  'a function with properties': [(x: number) => counters(x), 1],
  'functions in an object': [(x: number) => [lookup.add(x), lookup.self(x)], 1],
  'identity of what two captures share': [() => lookup.shared === shared],
  'a bound function': [helper.bind(null, 4)],
  'bound twice, with this': [
    (lookup.self as (this: object, x: number, y: number) => number).bind({ base: 40 }).bind(null, 2),
  ],
  'bound functions among values, one to what holds it': [() => [bindings.all.map((fn) => fn(2)), bindings.size()]],
  'a captured bound function': [
    (
      (add: (x: number) => number) => (x: number) =>
        add(x)
    )(((a: number, b: number) => a + b).bind(null, 10)),
    1,
  ],
  'an alias of an intrinsic': [(x: number) => max(x, LIMIT), 1],
  'another alias': [(x: unknown) => isArray(x), []],
  'an intrinsic itself': [Math.max, 1, 2],
  globalThis: [() => globalPath === globalThis],
  'typeof of nothing': [() => typeof (globalThis as Anything).nothing + typeof undeclared],
  'a default import of a builtin': [() => path.posix.sep],
  'a named import of a builtin': [(p: string) => basename(p), '/a/b'],
  'a renamed import of a builtin': [() => joined('a', 'b')],
  'a namespace import of a builtin': [() => url.fileURLToPath('file:///a')],
  'something destructured from a builtin': [() => sep],
  'a builtin whose name is a global elsewhere': [(s: string) => createHash('sha1').update(s).digest('hex'), 'x'],
  'a default import of a package': [(s: string) => picomatch('*.ts')(s), 'a.ts'],
  'a namespace import of a package': [(s: string) => yaml.parse(s), 'a: 1'],
  'an imported constant': [(x: number) => x * FACTOR, 2],
  'an imported function': [(x: number) => scale(x), 2],
  'an imported class, renamed': [() => new Polygon(4).angles()],
  'a default import': [(x: number) => twice(x), 2],
  'a namespace of a module': [() => Object.keys(values).sort().join()],
  'an export itself': [scale, 2],
  'a default export itself': [twice, 2],
  'shorthand of an import': [() => ({ FACTOR }).FACTOR],
  'a tagged template of a local': [() => ((s: TemplateStringsArray) => s.join() + LIMIT)`x`],
  'a live import': [
    () => {
      const before = calls
      count()
      return calls - before
    },
  ],
  'a statement that begins with an import': [
    () => {
      const x = 1
      count()
      return x
    },
  ],
  'destructuring and defaults': [({ a = LIMIT, ...rest }: { a?: number; b: number } = { b: 0 }) => [a, rest], { b: 2 }],
  'a default parameter that calls a helper': [(x: number, y = helper(x)) => x + y, 1],
  'a nested function that captures': [
    (x: number) => {
      const inner = () => LIMIT + x
      return inner()
    },
    1,
  ],
  'labels, templates, optional chains': [(o: { a?: { b: number } } | null) => `${o?.a?.b ?? LIMIT}`, null],
  'dynamic import of a builtin': [async () => (await import('node:path')).posix.sep],
  'dynamic import of a package': [async () => typeof (await import('yaml')).parse],
  'dynamic import of a module beside it': [async () => (await import('./values.ts')).FACTOR],
  'dynamic import of a name made up': [async (n: string) => (await import(`./${n}.ts`)).FACTOR, 'values'],
  'a counter of a coverage tool': [coverage()],
}

// esm begin
runs['import.meta'] = [
  () => [
    basename(import.meta.url),
    basename(String(import.meta.filename)),
    basename(String(import.meta.dirname)),
    basename(import.meta.resolve('./x.js')),
  ],
]
// esm end

const refusals: Record<string, unknown> = {
  'a name that is nowhere': () => undeclared + 1,
  'a name in a helper': () => lost(),
  'a write': make.written(),
  'an increment': make.counted(),
  'a write by destructuring': make.spread(),
  'a write by a loop': make.looped(),
  'this of an arrow': make.thisArrow(),
  'arguments from outside': make.args(1),
  'new.target from outside': new (make.target as Anything)(),
  'super from outside': make.superArrow.go(),
  'this of a method': lookup.self,
  'a native function of an instance': new Intl.NumberFormat('en').format,
  'a bound method of an instance': new Point(1).norm.bind(new Point(1)),
  'an instance': withCaptured(new Point(1)),
  'a Proxy of an object': withCaptured(new Proxy({}, {})),
  'a Proxy of a function': new Proxy(helper, {}),
  'a symbol of its own': withCaptured(Symbol('own')),
  'a promise': withCaptured(Promise.resolve(1)),
  'a stream': withCaptured(process.stdout),
  'a timer': withCaptured(timer()),
  'an instance deep inside': withCaptured({ user: { session: [new Point(2)] } }),
  // biome-ignore lint/security/noGlobalEval: what is tested
  'direct eval': (s: string) => eval(s),
  'a class itself': Point,
  'what is not initialised yet': tooEarly(),
  'a WeakMap': withCaptured(new WeakMap()),
}

declare const undeclared: number
function lost(): unknown {
  return undeclared
}
function withCaptured(held: unknown): () => unknown {
  return () => held
}
function timer(): NodeJS.Timeout {
  const made = setTimeout(() => undefined, 1)
  clearTimeout(made)
  return made
}
/** How a variable is refused that has no value yet. */
function tooEarly(): string {
  let said = 'not refused'
  const early = () => soon
  try {
    captureFunction(early, 'f')
  } catch (error) {
    said = String(error)
  }
  const soon = 1
  return said
}
/** What istanbul makes of `() => LIMIT`. */
function coverage(): () => number {
  const data = { f: {} as Record<number, number> }
  const cov_1a2b3c = () => ({ f: data.f as Anything, s: data.f as Anything })
  return () => {
    cov_1a2b3c().f[0]++
    cov_1a2b3c().s[1]++
    return LIMIT
  }
}

mutable += 1
const main = async (): Promise<object> => {
  const shipped: Record<string, unknown> = {}
  for (const [name, [fn, ...args]] of Object.entries(runs)) {
    try {
      const as = captureFunction(fn, 'f')
      const given = await fn(...args)
      const isIterator = typeof (given as { next?: unknown } | undefined)?.next === 'function'
      shipped[name] = { as, args, result: isIterator ? [...(given as Iterable<unknown>)] : given }
    } catch (error) {
      shipped[name] = { error: String(error) }
    }
  }
  const refused: Record<string, string> = {}
  for (const [name, fn] of Object.entries(refusals)) {
    try {
      refused[name] = typeof fn === 'string' ? fn : `not refused: ${JSON.stringify(captureFunction(fn, 'f'))}`
    } catch (error) {
      refused[name] = String(error)
    }
  }
  return { shipped, refused }
}
export const told = main()
const output = process.env.TABLE_OUTPUT
if (output !== undefined) told.then((all) => writeFileSync(output, JSON.stringify(all)))

/**
 * One function as text: what is in its place in a worker for each name it takes from outside, and the edits its text
 * needs. Imports are read through their namespace each time, so that they stay as live as they are here.
 */

import { moduleUrl, originAt, placeText, textStart } from './function-origin.ts'
import type { FreeName, FunctionText } from './function-text.ts'
import { moduleBindings } from './module-bindings.ts'
import { nameOf, Refusal, showPosition, type Trail } from './refusal.ts'
import { type Resolved, resolveName, variableNow } from './resolve-names.ts'
import type { Inspected, ScriptText } from './scopes.ts'
import type { ShippedCode, ShippedImport } from './shipped.ts'
import { applyEdits, type TextEdit } from './text-edits.ts'

export interface FunctionInHand {
  readonly fn: object
  readonly text: string
  readonly analysis: FunctionText
  readonly inspected: Inspected
  readonly trail: Trail
  /** It is called as a method of what holds it, so it may use `this`. */
  readonly receiver: boolean
  script(): ScriptText | undefined
}

/** A variable the function closes over. */
export interface Captured {
  readonly name: string
  readonly value: unknown
  /** A class needs it when it is defined. */
  readonly early: boolean
  /** Nothing can give it another value. */
  readonly constant: boolean
  /** For the trail: `'acc' in function 'score' (jobs.ts:12:7)`. */
  readonly step: () => string
}

export interface CodeUnit {
  /** Without what is captured. */
  readonly unit: ShippedCode
  readonly captured: readonly Captured[]
}

const HERITAGE = '$heritage'
// as long as what they stand for, so that positions stay
const IMPORT = '$imprt'
const META = '$importMeta'
const TIE_FIX = 'give it what it needs as a parameter, or export it from a module of its own'

/** @throws Refusal for what ties the text to its place, names that are nowhere, and writes to captured variables */
export function codeUnit(hand: FunctionInHand): CodeUnit {
  const { fn, text, analysis, inspected } = hand
  const tie = analysis.ties.find(({ receiver }) => !(receiver === true && hand.receiver))
  if (tie !== undefined)
    throw new Refusal([...hand.trail, inFunction(hand, tie.offset)], `it uses ${tie.what}`, TIE_FIX)
  const names = new NameTable(hand)
  for (const free of analysis.names)
    names.add(free, resolveName(free, { scopes: inspected.scopes, script: hand.script }))
  names.throwUnresolved()
  const edits = [...analysis.edits, ...names.edits]
  const own: Record<string, ShippedImport> = {}
  for (const start of analysis.metas) {
    edits.push({ start, end: start + 'import.meta'.length, text: META })
    own[META] = { specifier: '', as: 'meta' }
  }
  for (const { offset } of analysis.imports) {
    if (!text.startsWith('import', offset)) continue
    edits.push({ start: offset, end: offset + 'import'.length, text: IMPORT })
    own[IMPORT] = { specifier: '', as: 'import()' }
  }
  const imports = { ...names.imports, ...own }
  const captured = [...names.captured, ...heritage(hand, edits)]
  const edited = applyEdits(text, edits)
  const unit: ShippedCode = {
    kind: 'code',
    form: analysis.kind,
    name: nameOf(fn),
    text: edited,
    ...placeOf(hand, edited, edits),
    vars: [],
    units: {},
    imports,
    globals: {},
    ...(analysis.imports.length === 0 ? {} : { dynamic: analysis.imports.map(({ specifier }) => specifier ?? '') }),
  }
  return { unit, captured }
}

/** What a class extends is asked of the class: V8 forgets variables that are only used while it is defined. */
function heritage(hand: FunctionInHand, edits: TextEdit[]): Captured[] {
  const place = hand.analysis.heritage
  if (place === undefined) return []
  edits.push({ ...place, text: HERITAGE })
  const step = () => `what ${inFunction(hand, place.start)()} extends`
  return [{ name: HERITAGE, value: Object.getPrototypeOf(hand.fn), early: true, constant: true, step }]
}

/** The same variables as they are now. */
export function readAgain(captured: readonly Captured[], scopes: Inspected['scopes']): Captured[] {
  return captured.map((each) => (each.constant ? each : { ...each, value: variableNow(each.name, scopes) }))
}

class NameTable {
  readonly imports: Record<string, ShippedImport> = {}
  readonly edits: TextEdit[] = []
  readonly captured: Captured[] = []
  readonly #aliases = new Map<string, string>()
  readonly #hand: FunctionInHand
  readonly #unresolved: { readonly free: FreeName; readonly why: string; readonly fix: string }[] = []

  constructor(hand: FunctionInHand) {
    this.#hand = hand
  }

  add(free: FreeName, resolved: Resolved): void {
    const { name, early } = free
    if (resolved.from === 'everywhere') return
    if (resolved.from === 'nowhere') {
      this.#unresolved.push({ free, ...resolved })
      return
    }
    const step = capturedBy(this.#hand, free, free.write)
    if (free.write !== undefined) {
      const fix = 'return the new value instead, or keep the variable inside the function'
      throw new Refusal(
        [...this.#hand.trail, step],
        'it is assigned to, but what a function captures is a copy: the write would be lost',
        fix,
      )
    }
    if (resolved.from === 'variable') {
      const script = this.#hand.script()
      const constant = script !== undefined && !moduleBindings(script.source).mayChange(name)
      this.captured.push({ name, value: resolved.value, early, constant, step })
    } else if (resolved.live === undefined) this.imports[name] = resolved.import
    else this.#live(free, resolved.import, resolved.live)
  }

  throwUnresolved(): void {
    const [first] = this.#unresolved
    if (first === undefined) return
    const problems = this.#unresolved.map(({ free, why }) => `${capturedBy(this.#hand, free, free.write)()} is ${why}`)
    throw new Refusal(this.#hand.trail, problems.join('; '), first.fix)
  }

  #live(free: FreeName, from: ShippedImport, property: string): void {
    const read = `${this.#alias(from)}${access(property)}`
    for (const { start, end, form } of free.uses) {
      const called = form === 'statement' ? `;(0,${read})` : form === 'call' ? `(0,${read})` : read
      this.edits.push({ start, end, text: form === 'shorthand' ? `${free.name}: ${read}` : called })
    }
  }

  #alias(from: ShippedImport): string {
    const key = JSON.stringify(from)
    const known = this.#aliases.get(key)
    if (known !== undefined) return known
    let alias = `$import${this.#aliases.size}`
    while (this.#hand.text.includes(alias)) alias = `$${alias}`
    this.#aliases.set(key, alias)
    this.imports[alias] = from
    return alias
  }
}

function access(property: string): string {
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(property) ? `.${property}` : `[${JSON.stringify(property)}]`
}

function placeOf(hand: FunctionInHand, edited: string, edits: readonly TextEdit[]) {
  const script = hand.script()
  const module = moduleUrl(script)
  const start = startOf(hand, script)
  if (script === undefined || start === undefined) return { module, file: module, line: 0, column: 0 }
  return {
    module,
    ...placeText(script, start, edited, edits),
    ...(/^(?:file|data):/.test(script.url) ? {} : { file: module }),
  }
}

function startOf({ inspected, text }: FunctionInHand, script: ScriptText | undefined): number | undefined {
  return script === undefined || inspected.location === undefined
    ? undefined
    : textStart(script, inspected.location, text)
}

/** `'acc' in function 'score' (jobs.ts:12:7)` */
function capturedBy(hand: FunctionInHand, free: FreeName, offset = free.uses[0]?.start ?? 0): () => string {
  return () => `'${free.written}' in ${inFunction(hand, offset)()}`
}

function inFunction(hand: FunctionInHand, offset: number): () => string {
  return () => {
    const script = hand.script()
    const start = startOf(hand, script)
    const origin = script === undefined || start === undefined ? undefined : originAt(script, start + offset)
    return `${hand.analysis.kind} '${nameOf(hand.fn)}'${showPosition(origin)}`
  }
}

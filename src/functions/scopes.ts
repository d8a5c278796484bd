/**
 * What V8 knows about a function and JavaScript cannot ask: where it stands, the variables around it, what a bound
 * function is bound to. Asked of an inspector session of this thread, which answers before `post` returns.
 *
 * Without the debugger agent this costs a fraction of a millisecond. Sources need the agent: it is on only while they
 * are fetched, for it slows the whole process, and then those of all the program's own scripts are kept.
 */
import type { Session } from 'node:inspector'
import { isAbsolute } from 'node:path'
import { pathToFileURL } from 'node:url'
import { types } from 'node:util'
import { SerializationError } from '../core/errors.ts'

export interface Scope {
  /** V8's word for it: `Module`, `Closure (name)`, `Block`, `Script`. */
  readonly description: string
  /** Values by name, as they were when it was asked. Reading one that is not initialised yet throws on Node 22. */
  readonly variables: Readonly<Record<string, unknown>>
}

export interface Inspected {
  /** Undefined for what has no text of its own. */
  readonly location?: Location | undefined
  /** Innermost first; the global object is not among them. */
  readonly scopes: readonly Scope[]
  readonly bound?:
    | { readonly target: unknown; readonly receiver: unknown; readonly args: readonly unknown[] }
    | undefined
}

/** From 0, in what V8 compiled. */
export interface Location {
  readonly scriptId: string
  readonly lineNumber: number
  readonly columnNumber: number
}

export interface ScriptText {
  /** Absolute; `file:` where it came from a file. Empty for what came from none (eval, a REPL). */
  readonly url: string
  /** What V8 compiled. */
  readonly source: string
}

interface Property {
  readonly name: string
  readonly value?: { readonly objectId?: string; readonly value?: unknown }
}

/** Where the inspector finds what it is asked about: the only way to hand it a value. */
const SLOT = Symbol.for('quern.inspected')
const GROUP = 'quern'

// a cache: connecting again would give the same session
let opened: Session | undefined
// a cache: the text of a script never changes
const scripts = new Map<string, ScriptText>()

/**
 * What V8 knows about `fn`.
 *
 * @throws SerializationError where the process may not inspect itself (`--permission`)
 */
export function inspectFunction(fn: object): Inspected {
  const session = openSession()
  const slot: { fn: object; taken: unknown[] } = { fn, taken: [] }
  const holder = globalThis as { [SLOT]?: typeof slot }
  holder[SLOT] = slot
  try {
    const held = "globalThis[Symbol.for('quern.inspected')]"
    const { result } = post<{ result: { objectId: string } }>(session, 'Runtime.evaluate', {
      expression: `${held}.fn`,
      objectGroup: GROUP,
    })
    const { internalProperties = [] } = post<{ internalProperties?: readonly Property[] }>(
      session,
      'Runtime.getProperties',
      { objectId: result.objectId, ownProperties: true },
    )
    const take = (name: string): unknown => {
      const value = internalProperties.find((property) => property.name === name)?.value
      if (value?.objectId === undefined) return value?.value
      const functionDeclaration = `function () { ${held}.taken.push(this) }`
      post(session, 'Runtime.callFunctionOn', { objectId: value.objectId, functionDeclaration })
      return slot.taken.pop()
    }
    if (internalProperties.some(({ name }) => name === '[[TargetFunction]]')) {
      const args = Array.from(take('[[BoundArgs]]') as ArrayLike<unknown>)
      return { scopes: [], bound: { target: take('[[TargetFunction]]'), receiver: take('[[BoundThis]]'), args } }
    }
    const location = internalProperties.find(({ name }) => name === '[[FunctionLocation]]')?.value?.value
    return { location: location as Location | undefined, scopes: scopeList(take('[[Scopes]]')) }
  } finally {
    delete holder[SLOT]
    post(session, 'Runtime.releaseObjectGroup', { objectGroup: GROUP })
  }
}

/** The script of that id; undefined when V8 does not have it any more. */
export function scriptText(scriptId: string): ScriptText | undefined {
  if (!scripts.has(scriptId)) readScripts(scriptId)
  return scripts.get(scriptId)
}

function scopeList(list: unknown): Scope[] {
  const given = Array.from((list ?? []) as ArrayLike<{ description: string; object: Record<string, unknown> }>)
  return given
    .filter(({ object }) => (object as object) !== globalThis)
    .map(({ description, object }) => ({ description, variables: object }))
}

function readScripts(wanted: string): void {
  const session = openSession()
  const found = new Map<string, string>()
  const onScript = ({ params }: { params: { scriptId: string; url: string } }) => {
    found.set(params.scriptId, isAbsolute(params.url) ? pathToFileURL(params.url).href : params.url)
  }
  session.on('Debugger.scriptParsed', onScript)
  try {
    post(session, 'Debugger.enable')
    for (const [scriptId, url] of found) {
      const own = url.startsWith('file:') && !url.includes('/node_modules/')
      if (scripts.has(scriptId) || (scriptId !== wanted && !own)) continue
      const { scriptSource } = post<{ scriptSource: string }>(session, 'Debugger.getScriptSource', { scriptId })
      scripts.set(scriptId, { url, source: scriptSource })
    }
  } finally {
    post(session, 'Debugger.disable')
    session.removeListener('Debugger.scriptParsed', onScript)
  }
}

function openSession(): Session {
  if (opened !== undefined) return opened
  try {
    const inspector = process.getBuiltinModule('node:inspector')
    const session = new inspector.Session()
    session.connect()
    opened = session
    return session
  } catch (cause) {
    throw new SerializationError(
      'cannot read the variables around a function: this process may not inspect itself ' +
        '(--permission needs --allow-inspector); export the function from a module and use moduleFunction(url, name)',
      { cause },
    )
  }
}

function post<Result>(session: Session, method: string, params: object = {}): Result {
  let answer: Result | undefined
  let failed: Error | undefined
  session.post(method, params, (error: Error | null, result?: object) => {
    if (error !== null) failed = error
    answer = result as Result
  })
  if (failed !== undefined) throw types.isNativeError(failed) ? failed : new Error(JSON.stringify(failed))
  return answer as Result
}

/**
 * Where a function is defined, asked of V8 through an inspector session of this thread. The session answers before
 * `post` returns, so this is synchronous; the debugger agent is on only while it runs, for it slows the whole process.
 */
import type { Session } from 'node:inspector'
import { findSourceMap } from 'node:module'
import { isAbsolute } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export interface FunctionOrigin {
  /** Of the module as it was loaded. */
  readonly url: string
  /** From 1; in the source the user wrote where the process keeps source maps, else in what V8 compiled. */
  readonly line: number
  readonly column: number
}

interface Location {
  readonly scriptId: string
  readonly lineNumber: number
  readonly columnNumber: number
}

/** The module that holds `fn`; undefined where the inspector is not to be had, or the code came from no file. */
export function functionOrigin(fn: object): FunctionOrigin | undefined {
  const inspector = process.getBuiltinModule('node:inspector')
  if (inspector === undefined) return undefined
  const session = new inspector.Session()
  try {
    session.connect()
    const location = locate(session, fn)
    const script = location === undefined ? undefined : scriptUrl(session, location.scriptId)
    if (location === undefined || script === undefined) return undefined
    const url = isAbsolute(script) ? pathToFileURL(script).href : script
    if (!url.startsWith('file:') && !url.startsWith('data:')) return undefined
    return { url, ...sourcePosition(url, location) }
  } catch {
    // no inspector (--permission, or a build without it): the origin only adds to messages and to what can be tried
    return undefined
  } finally {
    session.disconnect()
  }
}

function sourcePosition(url: string, { lineNumber, columnNumber }: Location): { line: number; column: number } {
  const path = url.startsWith('file:') ? fileURLToPath(url) : url
  const entry = findSourceMap(path)?.findEntry(lineNumber, columnNumber)
  const mapped = entry !== undefined && 'originalLine' in entry
  return mapped
    ? { line: entry.originalLine + 1, column: entry.originalColumn + 1 }
    : { line: lineNumber + 1, column: columnNumber + 1 }
}

function locate(session: Session, fn: object): Location | undefined {
  // the only way to hand a value over is to let the session read it from a place both see
  const slot = Symbol.for('quern.inspected')
  const holder = globalThis as { [slot]?: object }
  holder[slot] = fn
  try {
    const { result } = post<{ result: { objectId: string } }>(session, 'Runtime.evaluate', {
      expression: `globalThis[Symbol.for('quern.inspected')]`,
    })
    const { internalProperties } = post<{
      internalProperties?: readonly { name: string; value?: { value?: unknown } }[]
    }>(session, 'Runtime.getProperties', { objectId: result.objectId, ownProperties: true })
    return internalProperties?.find(({ name }) => name === '[[FunctionLocation]]')?.value?.value as Location | undefined
  } finally {
    delete holder[slot]
  }
}

function scriptUrl(session: Session, scriptId: string): string | undefined {
  let url: string | undefined
  session.on('Debugger.scriptParsed', ({ params }) => {
    if (params.scriptId === scriptId) url = params.url
  })
  post(session, 'Debugger.enable')
  post(session, 'Debugger.disable')
  return url
}

function post<Result>(session: Session, method: string, params: object = {}): Result {
  let answer: Result | undefined
  session.post(method, params, (error: Error | null, result?: object) => {
    if (error !== null) throw error
    answer = result as Result
  })
  return answer as Result
}

/**
 * Where functions stand in the source the user wrote, and stacks that say so.
 *
 * A captured text is compiled in a worker under the URL of its module and at its own line. Where that is not the user's
 * line yet (a loader compiled the source, or the text was edited) its URL carries `?quern=N`, and the process that
 * captured it turns such frames into positions in the source: `restoreStack`.
 */
import { findSourceMap, SourceMap, type SourceMapPayload } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { analyseFunctionText } from './function-text.ts'
import { inspectFunction, type Location, type ScriptText, scriptText } from './scopes.ts'
import { applyEdits, originalOffset, type TextEdit } from './text-edits.ts'

export interface FunctionOrigin {
  /** Of the module as it was loaded. */
  readonly url: string
  /** From 1; in the source the user wrote where there is a source map, else in what V8 compiled. */
  readonly line: number
  readonly column: number
}

export interface TextPlace {
  /** What the text is compiled as. */
  readonly file: string
  /** Of its beginning, from 0. */
  readonly line: number
  readonly column: number
}

interface Known {
  readonly script: ScriptText
  /** Where the text begins in the script. */
  readonly start: number
  readonly place: TextPlace
  /** As it was compiled in the worker. */
  readonly text: string
  readonly edits: readonly TextEdit[]
}

// caches: maps of scripts, and where shipped texts came from; both only add to messages
const maps = new WeakMap<ScriptText, SourceMap | 'none'>()
const known = new Map<number, Known>()
const closed: WeakRef<object>[] = []
const MAX_KNOWN = 10_000
let count = 0

/** The module that holds `fn`; undefined where the code came from no script, or may not be looked at. */
export function functionOrigin(fn: object): FunctionOrigin | undefined {
  const { location } = inspectFunction(fn)
  const script = location === undefined ? undefined : scriptText(location.scriptId)
  if (location === undefined || script === undefined) return undefined
  return { url: script.url, ...sourcePosition(script, location.lineNumber, location.columnNumber) }
}

/** Position in the user's source, from 1, of a position in a script, from 0. */
export function sourcePosition(script: ScriptText, line: number, column: number): { line: number; column: number } {
  const entry = mapOf(script)?.findEntry(line, column)
  if (entry === undefined || !('originalLine' in entry)) return { line: line + 1, column: column + 1 }
  return { line: entry.originalLine + 1, column: entry.originalColumn + 1 }
}

/** Where in the user's source an offset of a script is. */
export function originAt(script: ScriptText, offset: number): FunctionOrigin {
  const { line, column } = lineColumn(script.source, offset)
  return { url: script.url, ...sourcePosition(script, line, column) }
}

/** Offset in a script at which `text`, whose function V8 locates there, begins; undefined when it is not found. */
export function textStart(script: ScriptText, location: Location, text: string): number | undefined {
  const at = offsetOf(script.source, location.lineNumber, location.columnNumber)
  const found = script.source.lastIndexOf(text, at)
  if (found !== -1) return found
  const after = script.source.indexOf(text)
  return after === -1 ? undefined : after
}

/** How the text that begins at `start` is to be compiled elsewhere, so that stacks lead back. */
export function placeText(script: ScriptText, start: number, text: string, edits: readonly TextEdit[]): TextPlace {
  const { line, column } = lineColumn(script.source, start)
  if (edits.length === 0 && mapOf(script) === undefined) return { file: script.url, line, column }
  if (known.size >= MAX_KNOWN) known.clear()
  count += 1
  const place = { file: `${script.url}?quern=${count}`, line, column }
  known.set(count, { script, start, place, text, edits })
  return place
}

/** A name for the text of a function that closes over nothing: it is found again without asking V8 now. */
export function rememberClosed(fn: object): number {
  return closed.push(new WeakRef(fn))
}

/** The stack with frames of shipped texts as positions in the user's source. */
export function restoreStack(stack: string): string {
  return stack
    .replace(/([^\s()]+)\?quern=(\d+):(\d+):(\d+)/g, (frame, url, id, line, column) => {
      const text = known.get(Number(id))
      if (text === undefined || !text.place.file.startsWith(url)) return frame
      const at = restorePosition(text, Number(line) - 1, Number(column) - 1)
      return `${url}:${at.line}:${at.column}`
    })
    .replace(/[^\s()]*\.function\.js#(\d+):(\d+):(\d+)/g, (frame, id, line, column) => {
      const fn = closed[Number(id) - 1]?.deref()
      return (fn === undefined ? undefined : closedPosition(fn, Number(line) - 1, Number(column) - 1)) ?? frame
    })
}

function closedPosition(fn: object, line: number, column: number): string | undefined {
  const { location } = inspectFunction(fn)
  const script = location === undefined ? undefined : scriptText(location.scriptId)
  if (location === undefined || script === undefined || script.url === '') return undefined
  const text = Function.prototype.toString.call(fn)
  const start = textStart(script, location, text)
  if (start === undefined) return undefined
  const analysed = analyseFunctionText(text)
  const edits = 'reason' in analysed ? [] : analysed.edits
  const offset = start + originalOffset(offsetOf(applyEdits(text, edits), line, column), edits)
  const at = lineColumn(script.source, offset)
  const source = sourcePosition(script, at.line, at.column)
  return `${script.url}:${source.line}:${source.column}`
}

function restorePosition({ script, start, place, text, edits }: Known, line: number, column: number) {
  const ownLine = line - place.line
  const ownColumn = ownLine === 0 ? column - place.column : column
  const offset = start + originalOffset(offsetOf(text, ownLine, ownColumn), edits)
  const at = lineColumn(script.source, offset)
  return sourcePosition(script, at.line, at.column)
}

function mapOf(script: ScriptText): SourceMap | undefined {
  let map = maps.get(script)
  if (map === undefined) {
    map = findMap(script) ?? 'none'
    maps.set(script, map)
  }
  return map === 'none' ? undefined : map
}

function findMap({ url, source }: ScriptText): SourceMap | undefined {
  const comment = source.slice(Math.max(0, source.lastIndexOf('//# sourceMappingURL=')))
  const inline = /^\/\/# sourceMappingURL=data:application\/json[^,]*;base64,([A-Za-z0-9+/=]+)/.exec(comment)
  if (inline !== null) {
    return new SourceMap(JSON.parse(Buffer.from(String(inline[1]), 'base64').toString()) as SourceMapPayload)
  }
  return url.startsWith('file:') ? (findSourceMap(fileURLToPath(url)) ?? findSourceMap(url)) : undefined
}

function offsetOf(text: string, line: number, column: number): number {
  let at = 0
  for (let i = 0; i < line; i++) {
    const next = text.indexOf('\n', at)
    if (next === -1) break
    at = next + 1
  }
  return at + column
}

function lineColumn(text: string, offset: number): { line: number; column: number } {
  let line = 0
  let at = 0
  for (let next = text.indexOf('\n'); next !== -1 && next < offset; next = text.indexOf('\n', at)) {
    line += 1
    at = next + 1
  }
  return { line, column: offset - at }
}

/** The URL of a module for what came from no file: a name in the working directory. */
export function moduleUrl(script: ScriptText | undefined): string {
  if (script !== undefined && /^(?:file|data):/.test(script.url)) return script.url
  return pathToFileURL(`${process.cwd()}/[eval]`).href
}

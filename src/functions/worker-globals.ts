/**
 * The names a function finds in every worker without bringing them: the globals of a plain Node process. `require`,
 * `module` and their kin are not among them: they belong to a CommonJS module, not to the process.
 */
const NAMES = `
  globalThis undefined NaN Infinity eval isFinite isNaN parseFloat parseInt
  decodeURI decodeURIComponent encodeURI encodeURIComponent escape unescape
  Object Function Boolean Symbol Number BigInt Math Date String RegExp
  Array Map Set WeakMap WeakSet WeakRef FinalizationRegistry Iterator
  ArrayBuffer SharedArrayBuffer DataView Atomics JSON Reflect Proxy Promise Intl WebAssembly
  Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array Uint32Array
  Float16Array Float32Array Float64Array BigInt64Array BigUint64Array
  Error AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError SuppressedError
  DisposableStack AsyncDisposableStack Temporal
  global process Buffer console performance crypto navigator fetch structuredClone atob btoa
  setTimeout setInterval setImmediate clearTimeout clearInterval clearImmediate queueMicrotask
  AbortController AbortSignal Blob BroadcastChannel ByteLengthQueuingStrategy CloseEvent CompressionStream
  CountQueuingStrategy Crypto CryptoKey CustomEvent DecompressionStream DOMException Event EventSource EventTarget File
  FormData Headers MessageChannel MessageEvent MessagePort Navigator Performance PerformanceEntry PerformanceMark
  PerformanceMeasure PerformanceObserver PerformanceObserverEntryList PerformanceResourceTiming
  ReadableByteStreamController ReadableStream ReadableStreamBYOBReader ReadableStreamBYOBRequest
  ReadableStreamDefaultController ReadableStreamDefaultReader Request Response SubtleCrypto
  TextDecoder TextDecoderStream TextEncoder TextEncoderStream TransformStream TransformStreamDefaultController
  URL URLPattern URLSearchParams WebSocket
  WritableStream WritableStreamDefaultController WritableStreamDefaultWriter
`

const WORKER_GLOBALS: ReadonlySet<string> = new Set(NAMES.trim().split(/\s+/))

/** Whether a worker of this version of Node has `name`; what the program itself added to globalThis does not count. */
export function isWorkerGlobal(name: string): boolean {
  return WORKER_GLOBALS.has(name) && name in globalThis
}

export function workerGlobalNames(): Iterable<string> {
  return WORKER_GLOBALS
}

/**
 * Where one byte occurs in a block, found 16 bytes at a time by byte-scan.wat: counting short records is bound by the
 * cost of a call into native code per record otherwise. Results are copied out, so that one small memory serves all
 * readers of a process; a scan is synchronous and leaves nothing behind.
 */

/** Larger blocks, single records joined from several chunks, are left to an ordinary search. */
export const SCAN_LIMIT = 1024 * 1024

/** byte-scan.wat, assembled. */
export const ASSEMBLED =
  'AGFzbQEAAAABCQFgBH9/f38BfwIRAQVxdWVybgZtZW1vcnkCAAEDAgEABwgBBHNjYW4AAAqIAQGFAQIEfwF7IAH9DyEIIAJBADYCAAJAA0AgBCAATw0B' +
  'IAT9AAQAIAj9I/1kIQUCQANAIAVFDQEgBCAFaGohBiAGIABPDQMgAyAGNgIAIAIgBkEBajYCBCADQQRqIQMgAkEEaiECIAdBAWohByAFIAVBAWtxIQUM' +
  'AAsLIARBEGohBAwACwsgBws='

const STARTS = SCAN_LIMIT + 16
const ENDS = STARTS + 4 * (SCAN_LIMIT + 1)
const PAGE_BYTES = 65_536
const PAGES = Math.ceil((ENDS + 4 * SCAN_LIMIT) / PAGE_BYTES)

type Scan = (length: number, byte: number, starts: number, ends: number) => number

/** What is used of it; the types of Node 20 do not have it. */
interface WebAssemblyApi {
  readonly Memory: new (size: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer }
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object, imports: object) => { readonly exports: { readonly scan: Scan } }
}

export class ByteScan {
  static #ready: ByteScan | undefined
  readonly #scan: Scan
  readonly #data: Uint8Array
  readonly #numbers: Uint32Array

  private constructor({ Memory, Module, Instance }: WebAssemblyApi) {
    const memory = new Memory({ initial: PAGES, maximum: PAGES })
    const module = new Module(Buffer.from(ASSEMBLED, 'base64'))
    this.#scan = new Instance(module, { quern: { memory } }).exports.scan
    this.#data = new Uint8Array(memory.buffer)
    this.#numbers = new Uint32Array(memory.buffer)
  }

  /** Made at the first use in a process; undefined where Node runs without WebAssembly (`--jitless`). */
  static get ready(): ByteScan | undefined {
    const { WebAssembly } = globalThis as { readonly WebAssembly?: WebAssemblyApi }
    if (ByteScan.#ready === undefined && WebAssembly !== undefined) ByteScan.#ready = new ByteScan(WebAssembly)
    return ByteScan.#ready
  }

  /** The number of occurrences of `byte` in `block`, which is no longer than SCAN_LIMIT. */
  scan(block: Uint8Array, byte: number): number {
    this.#data.set(block)
    return this.#scan(block.length, byte, STARTS, ENDS)
  }

  /** Of the scan before: `ends` takes the offsets of the first `count` occurrences, `starts` 0 and what follows each. */
  copyInto(starts: Uint32Array, ends: Uint32Array, count: number): void {
    starts.set(this.#numbers.subarray(STARTS / 4, STARTS / 4 + count + 1))
    ends.set(this.#numbers.subarray(ENDS / 4, ENDS / 4 + count))
  }
}

/**
 * The encoded results of a job's calls. Up to a limit they stay in memory; what comes after lies in a temporary file
 * that has no name any more (it is unlinked as soon as it is open), so that nothing is left however the process ends.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** Closes the files of stores that nobody holds any more. */
const forgotten = new FinalizationRegistry<number>((file) => closeSync(file))

interface Spilled {
  readonly offset: number
  readonly length: number
}

export class ResultStore {
  readonly #limitBytes: number
  readonly #results = new Map<number, Uint8Array | Spilled>()
  #memoryBytes = 0
  #file: number | undefined
  #fileBytes = 0

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  put(call: number, bytes: Uint8Array): void {
    if (this.#memoryBytes + bytes.byteLength <= this.#limitBytes) {
      this.#memoryBytes += bytes.byteLength
      this.#results.set(call, bytes)
    } else {
      this.#results.set(call, this.#spill(bytes))
    }
  }

  has(call: number): boolean {
    return this.#results.has(call)
  }

  /** @throws RangeError when there is none */
  get(call: number): Uint8Array {
    const stored = this.#results.get(call)
    if (stored === undefined) throw new RangeError(`no result of call ${call}`)
    if (stored instanceof Uint8Array) return stored
    const bytes = Buffer.allocUnsafeSlow(stored.length)
    let at = 0
    while (at < stored.length) {
      const read = readSync(this.#file as number, bytes, at, stored.length - at, stored.offset + at)
      if (read === 0) throw new RangeError(`the spilled result of call ${call} is cut short`)
      at += read
    }
    return bytes
  }

  /** Forgets a result that nobody will ask for again. */
  drop(call: number): void {
    const stored = this.#results.get(call)
    if (stored instanceof Uint8Array) this.#memoryBytes -= stored.byteLength
    this.#results.delete(call)
  }

  #spill(bytes: Uint8Array): Spilled {
    if (this.#file === undefined) {
      this.#file = openUnlinked()
      forgotten.register(this, this.#file)
    }
    const offset = this.#fileBytes
    let at = 0
    while (at < bytes.byteLength) at += writeSync(this.#file, bytes, at, bytes.byteLength - at, offset + at)
    this.#fileBytes += bytes.byteLength
    return { offset, length: bytes.byteLength }
  }
}

function openUnlinked(): number {
  const name = path.join(tmpdir(), `quern-${process.pid}-${randomBytes(6).toString('hex')}.spill`)
  const file = openSync(name, 'wx+', 0o600)
  unlinkSync(name)
  return file
}

/**
 * What a job holds beyond its share of memory: in a temporary file that has no name any more (it is unlinked as soon as
 * it is open), so that nothing is left however the process ends. Opened at the first write.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** Closes the files of those that nobody holds any more. */
const forgotten = new FinalizationRegistry<number>((file) => closeSync(file))

export class SpillFile {
  #file: number | undefined
  #bytes = 0

  /** Where it lies from now on; undefined where there is no room for it, or no folder: it has to stay in memory. */
  write(bytes: Uint8Array): number | undefined {
    const from = this.#bytes
    try {
      const file = this.#open()
      let at = 0
      while (at < bytes.byteLength) at += writeSync(file, bytes, at, bytes.byteLength - at, from + at)
    } catch {
      return undefined
    }
    this.#bytes += bytes.byteLength
    return from
  }

  /** What was written there; memory of its own. @throws RangeError when the file is cut short */
  read(from: number, length: number): Buffer<ArrayBuffer> {
    const bytes = Buffer.allocUnsafeSlow(length)
    let at = 0
    while (at < length) {
      const read = readSync(this.#file as number, bytes, at, length - at, from + at)
      if (read === 0) throw new RangeError(`${length} bytes that were spilled at ${from} are cut short`)
      at += read
    }
    return bytes
  }

  #open(): number {
    if (this.#file === undefined) {
      this.#file = openUnlinked()
      forgotten.register(this, this.#file)
    }
    return this.#file
  }
}

function openUnlinked(): number {
  const name = path.join(tmpdir(), `quern-${process.pid}-${randomBytes(6).toString('hex')}.spill`)
  const file = openSync(name, 'wx+', 0o600)
  unlinkSync(name)
  return file
}

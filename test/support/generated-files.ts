/** Large inputs made on the spot, line by line the same on every run. */
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** A folder of its own, removed by `remove`. */
export function temporaryFolder(): { readonly folder: string; remove(): void } {
  const folder = mkdtempSync(path.join(tmpdir(), 'quern-'))
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/** Writes an access log of at least `bytes` bytes; the last line has no newline. Gives its size. */
export function writeAccessLog(file: string, bytes: number): number {
  const methods = ['GET', 'POST', 'PUT', 'DELETE']
  const statuses = [200, 200, 200, 301, 404, 500]
  const fd = openSync(file, 'w')
  let size = 0
  for (let line = 0; size < bytes; ) {
    const lines: string[] = []
    for (let i = 0; i < 20_000; i++, line++) {
      const n = (line * 2_654_435_761) >>> 0
      const request = `"${methods[n % 4]} /shop/item-${n % 5_003}?page=${n % 7} HTTP/1.1"`
      lines.push(
        `10.0.${(n >>> 8) % 16}.${n % 256} - - [21/Nov/2026:04:00:00 +0000] ${request} ${statuses[n % 6]} ${n % 9_001}`,
      )
    }
    const block = `${lines.join('\n')}\n`
    size += writeSync(fd, block)
  }
  size += writeSync(fd, 'the last line ends without a newline')
  closeSync(fd)
  return size
}

/**
 * The reader that partitioning is held to: from the first byte to the last, one byte at a time, nothing shared with
 * the sources. A record is its bytes up to and including the delimiter; the last may lack one.
 */
export interface SequentialRecord {
  readonly start: number
  readonly end: number
  /** Whether it ends in a delimiter. */
  readonly terminated: boolean
}

export function sequentialRecords(bytes: Uint8Array, delimiter: Uint8Array): SequentialRecord[] {
  const records: SequentialRecord[] = []
  let start = 0
  let at = 0
  while (at < bytes.length) {
    let same = 0
    while (same < delimiter.length && bytes[at + same] === delimiter[same]) same += 1
    if (same === delimiter.length) {
      at += same
      records.push({ start, end: at, terminated: true })
      start = at
    } else {
      at += 1
    }
  }
  if (start < bytes.length) records.push({ start, end: bytes.length, terminated: false })
  return records
}

/** Where the record that owns the cut's right side begins: the first record start at or after `cut`, else the size. */
export function sequentialBoundary(bytes: Uint8Array, delimiter: Uint8Array, cut: number): number {
  return sequentialRecords(bytes, delimiter).find(({ start }) => start >= cut)?.start ?? bytes.length
}

/** The records without delimiters. */
export function sequentialContents(bytes: Uint8Array, delimiter: Uint8Array): Uint8Array[] {
  return sequentialRecords(bytes, delimiter).map(({ start, end, terminated }) =>
    bytes.slice(start, terminated ? end - delimiter.length : end),
  )
}

/** The records as text: one "\r" before "\n" removed, a byte order mark at offset 0 too. */
export function sequentialLines(bytes: Uint8Array, delimiter: Uint8Array): string[] {
  const newline = delimiter.length === 1 && delimiter[0] === 10
  return sequentialRecords(bytes, delimiter).map(({ start, end, terminated }) => {
    const content = Buffer.from(bytes.slice(start, terminated ? end - delimiter.length : end))
    const mark = start === 0 && content.subarray(0, 3).equals(Buffer.from([0xef, 0xbb, 0xbf]))
    const text = (mark ? content.subarray(3) : content).toString('utf8')
    return newline && terminated && text.endsWith('\r') ? text.slice(0, -1) : text
  })
}

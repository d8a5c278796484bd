/** Replacements in a text, and the way back from a position in the result. All offsets are of the original text. */
export interface TextEdit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** The text with every edit made. Edits may come in any order; they do not overlap. */
export function applyEdits(text: string, edits: readonly TextEdit[]): string {
  let result = ''
  let at = 0
  for (const edit of inOrder(edits)) {
    result += text.slice(at, edit.start) + edit.text
    at = edit.end
  }
  return result + text.slice(at)
}

/** The offset in the original of an offset in the result; within a replacement, where that begins. */
export function originalOffset(offset: number, edits: readonly TextEdit[]): number {
  let shift = 0
  for (const { start, end, text } of inOrder(edits)) {
    const from = start + shift
    if (offset < from) break
    if (offset < from + text.length) return start
    shift += text.length - (end - start)
  }
  return offset - shift
}

function inOrder(edits: readonly TextEdit[]): TextEdit[] {
  return [...edits].sort((a, b) => a.start - b.start)
}

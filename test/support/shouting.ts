/** A module whose exported function uses what the module holds: it travels by reference. */
const MARK = '!'

function raise(text: string): string {
  return text.toUpperCase()
}

export function shout(text: string): string {
  return raise(text) + MARK
}

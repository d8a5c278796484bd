/** Globs on keys: picomatch, loaded when the first pattern is met. Names that begin with a dot are matched like any. */

export interface KeyGlob {
  /** Text every matching key starts with. */
  readonly prefix: string
  matches(key: string): boolean
}

/** `*` and `?` stay within a segment, `**` crosses them; braces, classes and extglobs as picomatch has them. */
export async function compileGlob(glob: string): Promise<KeyGlob> {
  const { default: picomatch } = await import('picomatch')
  const matches = picomatch(glob, { dot: true, nonegate: true })
  const special = glob.search(/[*?[\]{}()!+@|\\]/)
  const literal = special < 0 ? glob : glob.slice(0, glob.lastIndexOf('/', special) + 1)
  return { prefix: literal, matches: (key) => matches(key) }
}

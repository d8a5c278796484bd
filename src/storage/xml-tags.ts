/**
 * XML read tag by tag, forward only, and without a string for what nobody asks for: a page of a listing is a few fields
 * out of a quarter of a megabyte. Tags must close in the order they were opened; what attributes say is passed over,
 * and so are comments and instructions. Knows nothing of what the tags mean.
 */

/** What is wrong with a text, and where. */
export class XmlFault extends Error {
  /** It is right as far as it goes. */
  readonly isTruncated: boolean

  constructor(message: string, isTruncated = false) {
    super(message)
    this.isTruncated = isTruncated
  }
}

const OPEN = 0x3c
const CLOSE = 0x3e
const SLASH = 0x2f
const BANG = 0x21
const QUESTION = 0x3f
const AMPERSAND = 0x26
/** What stands in texts and is no tag. */
const MARKUPS = [
  ['<?', '?>'],
  ['<!--', '-->'],
  ['<![CDATA[', ']]>'],
] as const
const LONGEST_MARKUP = 9

export class XmlTags {
  readonly #bytes: Buffer
  /** Where the names of the open elements lie. */
  readonly #nameStarts: number[] = []
  readonly #nameEnds: number[] = []
  #at = 0
  #hasMarkup = false
  /** The tag was opened and closed in one: its end comes next. */
  #isBoth = false
  /** The elements around the place before the tag, with the one that it opens or closes. */
  depth = 0
  isEnd = false
  /** The tag ends an element that has no others in it. */
  isLeaf = false
  /** The text between the tag before and this one. */
  textStart = 0
  textEnd = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Goes on to the next tag; false when all is read. @throws XmlFault */
  next(): boolean {
    const bytes = this.#bytes
    const isAfterStart = !this.isEnd
    if (isAfterStart && this.#isBoth) return this.#endBoth()
    if (!isAfterStart) this.depth -= 1
    this.textStart = this.#at
    this.#hasMarkup = false
    let at = nextOpen(bytes, this.#at)
    let sign = bytes[at + 1]
    if (sign === BANG || sign === QUESTION) {
      at = this.#passMarkup(at)
      sign = bytes[at + 1]
    }
    this.textEnd = at
    if (this.depth === 0 && this.#isOver()) return false
    if (at === bytes.length) throw this.#endsTooEarly()
    this.isEnd = sign === SLASH
    this.isLeaf = this.isEnd && isAfterStart
    if (this.isEnd) this.#readEnd()
    else this.#readStart()
    return true
  }

  /** Whether the tag has this name, which is in ASCII. */
  is(name: Uint8Array): boolean {
    const start = this.#nameStarts[this.depth - 1] as number
    if ((this.#nameEnds[this.depth - 1] as number) - start !== name.length) return false
    for (let i = 0; i < name.length; i++) if (this.#bytes[start + i] !== name[i]) return false
    return true
  }

  /** The name of the tag. */
  get name(): string {
    return this.#bytes.toString('utf8', this.#nameStarts[this.depth - 1], this.#nameEnds[this.depth - 1])
  }

  /** The text between the tag before and this one, decoded. */
  text(): string {
    const { textStart, textEnd } = this
    let at = textStart
    while (at < textEnd && isPlain(this.#bytes[at] as number)) at += 1
    if (at === textEnd && !this.#hasMarkup) return this.#bytes.toString('latin1', textStart, textEnd)
    return decoded(this.#bytes.toString('utf8', textStart, textEnd))
  }

  #endBoth(): boolean {
    this.#isBoth = false
    this.isEnd = this.isLeaf = true
    this.textStart = this.textEnd
    return true
  }

  /** Where the next tag begins. */
  #passMarkup(start: number): number {
    let at = start
    while (this.#bytes[at + 1] === BANG || this.#bytes[at + 1] === QUESTION) {
      at = nextOpen(this.#bytes, this.#endOfMarkup(at))
    }
    this.#hasMarkup = true
    return at
  }

  /** Whether everything is read, outside of all elements. */
  #isOver(): boolean {
    // a byte order mark is white space too
    if (this.text().trim() !== '') throw this.#fault('text outside of all tags', this.textStart)
    if (this.isEnd && this.textEnd < this.#bytes.length) throw this.#fault('a second root', this.textEnd)
    return this.isEnd
  }

  /** Past a comment, a CDATA section or an instruction. */
  #endOfMarkup(start: number): number {
    const begins = this.#bytes.toString('latin1', start, start + LONGEST_MARKUP)
    const markup = MARKUPS.find(([opening]) => begins.startsWith(opening) || opening.startsWith(begins))
    if (markup === undefined) throw this.#fault(`${begins}…, which is not understood,`, start)
    const [opening, closing] = markup
    const end = this.#bytes.indexOf(closing, start + opening.length, 'latin1')
    if (end === -1) throw this.#endsTooEarly()
    return end + closing.length
  }

  #readStart(): void {
    const bytes = this.#bytes
    const start = this.textEnd + 1
    const end = endOfName(bytes, start)
    if (end === start && end < bytes.length) throw this.#fault('a tag without a name', start)
    this.#nameStarts[this.depth] = start
    this.#nameEnds[this.depth] = end
    this.depth += 1
    const close = bytes[end] === CLOSE ? end : this.#endOfTag(end)
    this.#isBoth = bytes[close - 1] === SLASH
    this.#at = close + 1
  }

  /** Where the tag ends whose attributes begin here; they may hold the sign that ends a tag. */
  #endOfTag(from: number): number {
    let quote: number | undefined
    for (let at = from; at < this.#bytes.length; at++) {
      const byte = this.#bytes[at]
      if (quote !== undefined) quote = byte === quote ? undefined : quote
      else if (byte === CLOSE) return at
      else if (byte === OPEN) throw this.#fault('a tag within a tag', at)
      else if (byte === 0x22 || byte === 0x27) quote = byte
    }
    throw this.#endsTooEarly()
  }

  #readEnd(): void {
    const bytes = this.#bytes
    if (this.depth === 0) throw this.#fault('an end of nothing', this.textEnd)
    const end = this.#nameEnds[this.depth - 1] as number
    let at = this.textEnd + 2
    for (let i = this.#nameStarts[this.depth - 1] as number; i < end; i++, at++) {
      if (bytes[at] !== bytes[i]) throw this.#wrongEnd(at)
    }
    while (isSpace(bytes[at])) at += 1
    if (bytes[at] !== CLOSE) throw this.#wrongEnd(at)
    this.#at = at + 1
  }

  #wrongEnd(at: number): XmlFault {
    if (at >= this.#bytes.length) return this.#endsTooEarly()
    return this.#fault(`another end than that of <${this.name}>`, this.textEnd)
  }

  #endsTooEarly(): XmlFault {
    return new XmlFault(`it ends after ${this.#bytes.length} bytes`, this.#bytes.length > 0)
  }

  #fault(what: string, at: number): XmlFault {
    return new XmlFault(`${what} at byte ${at}`)
  }
}

function nextOpen(bytes: Buffer, from: number): number {
  const end = bytes.length
  let at = from
  while (at < end && bytes[at] !== OPEN) at += 1
  return at
}

function endOfName(bytes: Buffer, from: number): number {
  const end = bytes.length
  let at = from
  while (at < end && !endsName(bytes[at] as number)) at += 1
  return at
}

function endsName(byte: number): boolean {
  return byte <= 0x20 || byte === CLOSE || byte === SLASH || byte === OPEN
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

function isPlain(byte: number): boolean {
  return byte !== AMPERSAND && byte < 0x80
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
const SPECIAL = /<!\[CDATA\[([\s\S]*?)\]\]>|<!--[\s\S]*?-->|<\?[\s\S]*?\?>|&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi

/** What the text means; entities that mean nothing stay as they are. */
function decoded(text: string): string {
  return text.replace(SPECIAL, (whole, cdata, decimal, hex, named) => {
    if (!whole.startsWith('&')) return cdata ?? ''
    if (named !== undefined) return ENTITIES[named] ?? whole
    const point = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal)
    return point > 0x10ffff ? whole : String.fromCodePoint(point)
  })
}

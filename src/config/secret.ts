import { inspect } from 'node:util'

/** A credential. Whatever prints it (JSON, util.inspect, a template string) gets `***`; only `reveal()` gives the text. */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** The text itself, for the client that signs with it and for a worker's start-up channel. */
  reveal(): string {
    return this.#text
  }

  toJSON(): string {
    return '***'
  }

  toString(): string {
    return '***'
  }

  [inspect.custom](): string {
    return 'Secret(***)'
  }
}

/**
 * Signature Version 4 of a request without a body, for requests that go over our own sockets. Pure: time is an argument.
 * All headers that are given are signed. Source: "Create a signed AWS API request", AWS IAM user guide.
 */
import { createHash, createHmac } from 'node:crypto'

export interface SigningKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

export interface UnsignedRequest {
  readonly method: string
  /** Encoded, as it is sent. */
  readonly path: string
  /** Encoded and sorted, without its question mark; may be empty. */
  readonly query: string
  /** With `host`, `x-amz-content-sha256` and `x-amz-date`; names in lower case. */
  readonly headers: Readonly<Record<string, string>>
}

/** `YYYYMMDDTHHMMSSZ`, as x-amz-date has it. */
export function amzDate(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`
}

/** Signs for one region; the key of a day is derived once for the same secret. */
export class S3Signer {
  readonly #region: string
  #derived: { readonly day: string; readonly secret: string; readonly key: Buffer } | undefined

  constructor(region: string) {
    this.#region = region
  }

  /** The value of `authorization`. */
  sign({ method, path, query, headers }: UnsignedRequest, keys: SigningKeys): string {
    const names = Object.keys(headers).sort()
    const signed = names.join(';')
    let canonical = `${method}\n${path}\n${query}\n`
    for (const name of names) canonical += `${name}:${(headers[name] as string).trim().replaceAll(/ +/g, ' ')}\n`
    canonical += `\n${signed}\n${headers['x-amz-content-sha256']}`
    const date = headers['x-amz-date'] as string
    const day = date.slice(0, 8)
    const scope = `${day}/${this.#region}/s3/aws4_request`
    const hash = createHash('sha256').update(canonical).digest('hex')
    const signature = hmac(this.#key(day, keys.secretAccessKey), `AWS4-HMAC-SHA256\n${date}\n${scope}\n${hash}`)
    const credential = `${keys.accessKeyId}/${scope}`
    return `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${signed}, Signature=${signature.toString('hex')}`
  }

  #key(day: string, secret: string): Buffer {
    if (this.#derived?.day === day && this.#derived.secret === secret) return this.#derived.key
    const key = [day, this.#region, 's3', 'aws4_request'].reduce<Buffer>(hmac, Buffer.from(`AWS4${secret}`))
    this.#derived = { day, secret, key }
    return key
  }
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

/** Heads of Google Cloud Storage: the `etag` is the generation, which changes whenever the content does. */
import type { IncomingMessage } from 'node:http'
import type { ObjectHead } from './backend.ts'
import { encodingOf } from './http-body.ts'
import { parseContentRange } from './ranges.ts'

/** What the store tells of an object, as far as it is asked for. */
export interface ObjectResource {
  readonly name?: string | undefined
  readonly size?: string | number | undefined
  readonly generation?: string | number | undefined
  readonly updated?: string | undefined
  readonly contentType?: string | undefined
  readonly contentEncoding?: string | undefined
}

/** The fields of ObjectResource, by the API's names. */
export const RESOURCE_FIELDS = 'name,size,generation,updated,contentType,contentEncoding'

export function headOfResource(resource: ObjectResource): ObjectHead {
  const { name = '', size = 0, generation = '', updated, contentType, contentEncoding } = resource
  const lastModified = Date.parse(updated ?? '')
  const encoding = encodingOf(contentEncoding)
  return {
    key: name,
    size: Number(size),
    etag: `${generation}`,
    ...(Number.isNaN(lastModified) ? {} : { lastModified }),
    ...(contentType === undefined ? {} : { contentType }),
    ...(encoding === undefined ? {} : { contentEncoding: encoding }),
  }
}

/** Of the answer to a read of bytes. */
export function headOfMedia(key: string, { headers }: IncomingMessage): ObjectHead {
  const whole = parseContentRange(headers['content-range'])?.sizeBytes
  const length = headers['content-length']
  return headOfResource({
    name: key,
    size: whole ?? (length === undefined ? undefined : Number(length)),
    generation: text(headers['x-goog-generation']),
    updated: headers['last-modified'],
    contentType: headers['content-type'],
    contentEncoding: text(headers['x-goog-stored-content-encoding']) ?? headers['content-encoding'],
  })
}

function text(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.[0]
}

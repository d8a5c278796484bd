/** `quern storage ls`: a line an object as the pages come, in the store's order; nothing is held. */
import { objectUrl } from '../core/cloud-object.ts'
import { formatSize } from '../core/sizes.ts'
import type { CliContext, ExitCode } from './context.ts'
import { counted, writeText } from './output.ts'
import { type Found, findPages, locateStored, urlOf } from './storage-references.ts'
import { withStores } from './stores.ts'

const SIZE_WIDTH = 9

/** @throws NotFoundError where nothing matches; an empty bucket is a list of nothing */
export async function ls(
  url: string,
  flags: { readonly config?: string; readonly json?: boolean },
  context: CliContext,
): Promise<ExitCode> {
  const located = locateStored(url, context.cwd)
  return withStores(flags, context, async ({ resolve }, signal) => {
    let objects = 0
    let bytes = 0
    for await (const page of findPages(located, resolve, { folders: true, signal })) {
      objects += page.length
      bytes += page.reduce((sum, { head }) => sum + head.size, 0)
      const lines = page.map(flags.json ? asJson : asText)
      await writeText(context.stdout, `${lines.join('\n')}\n`)
      signal.throwIfAborted()
    }
    if (flags.json !== true) await writeText(context.stdout, `${counted(objects, 'object')}, ${formatSize(bytes)}\n`)
    return 0
  })
}

/** One object as a line of JSON. */
export function asJson({ backend, bucket, head }: Found): string {
  const { key, size, etag, lastModified, contentType } = head
  const modified = lastModified === undefined ? undefined : new Date(lastModified).toISOString()
  const url = objectUrl(backend, bucket, key)
  return JSON.stringify({ url, backend, bucket, key, size, etag, lastModified: modified, contentType })
}

function asText(found: Found): string {
  const { size, sizeUnknown, lastModified } = found.head
  const shown = (sizeUnknown ? '?' : formatSize(size)).padStart(SIZE_WIDTH)
  const date = lastModified === undefined ? ' '.repeat(19) : new Date(lastModified).toISOString().slice(0, 19)
  return `${shown}  ${date.replace('T', ' ')}  ${printable(urlOf(found))}`
}

/** A key may hold what moves a terminal's cursor. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/** `quern storage head`: one object without its bytes. */
import { formatSize } from '../core/sizes.ts'
import type { CliContext, ExitCode } from './context.ts'
import { UsageError } from './failures.ts'
import { formatTable } from './format-result.ts'
import { asJson, printable } from './storage-ls.ts'
import { findObjects, locateStored, urlOf } from './storage-references.ts'
import { withStores } from './stores.ts'

/** @throws NotFoundError; UsageError for what is not one object */
export async function head(
  url: string,
  flags: { readonly config?: string; readonly json?: boolean },
  context: CliContext,
): Promise<ExitCode> {
  const located = locateStored(url, context.cwd)
  if (located.target.type !== 'key') throw new UsageError(`${url}: expected one object; quern storage ls lists several`)
  return withStores(flags, context, async ({ resolve }, signal) => {
    for await (const found of findObjects(located, resolve, { folders: false, signal })) {
      const { size, sizeUnknown, etag, lastModified, contentType, contentEncoding, acceptsRanges } = found.head
      const rows: [string, string | undefined][] = [
        ['url', printable(urlOf(found))],
        ['size', sizeUnknown ? 'not told by the server' : `${formatSize(size)} (${size} bytes)`],
        ['etag', etag === '' ? 'none' : etag],
        ['modified', lastModified === undefined ? undefined : new Date(lastModified).toISOString()],
        ['type', contentType],
        ['encoding', contentEncoding],
        ['ranges', acceptsRanges === false ? 'not served' : undefined],
      ]
      const told = rows.filter(([, value]) => value !== undefined)
      context.stdout.write(`${flags.json ? asJson(found) : formatTable(told)}\n`)
    }
    return 0
  })
}

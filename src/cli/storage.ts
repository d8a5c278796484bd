/** `quern storage`: its commands and their flags. What they do is loaded when one of them runs. */
import type { Command } from 'commander'
import type { CliContext, ExitCode } from './context.ts'
import { UsageError } from './failures.ts'
import { wholeNumber } from './job-flags.ts'
import type { RemoveFlags } from './storage-rm.ts'
import type { TransferFlags } from './storage-transfer.ts'

const DEFAULT_CONCURRENCY = 8

interface StorageFlags {
  readonly config?: string
  readonly json?: boolean
}

export function addStorage(program: Command, context: CliContext, done: (code: ExitCode) => void): void {
  const storage = program
    .command('storage')
    .description('list, copy and delete objects: paths, s3://, minio://, gs://, localhost://, https:// (read only)')
  const add = (usage: string, description: string) =>
    withFlags(storage.command(usage).description(description)) as Command

  add('ls <url>', 'list the objects of a prefix, a glob or a bucket').action(async (url: string, flags: StorageFlags) =>
    done(await (await import('./storage-ls.ts')).ls(url, flags, context)),
  )
  add('head <url>', 'what is known of one object').action(async (url: string, flags: StorageFlags) =>
    done(await (await import('./storage-head.ts')).head(url, flags, context)),
  )
  withTransferFlags(add('get <url> [destination]', 'fetch objects into a file or a folder (default: here)')).action(
    async (url: string, destination: string | undefined, flags: TransferFlags) =>
      done(await (await import('./storage-transfer.ts')).get(url, destination, flags, context)),
  )
  withTransferFlags(add('put <files...>', 'send files and directories: FILE… URL')).action(
    async (references: readonly string[], flags: TransferFlags) =>
      done(await (await import('./storage-transfer.ts')).put(...filesAndUrl(references), flags, context)),
  )
  withTransferFlags(add('cp <source> <destination>', 'copy objects from any store to any other')).action(
    async (source: string, destination: string, flags: TransferFlags) =>
      done(await (await import('./storage-transfer.ts')).cp(source, destination, flags, context)),
  )
  add('rm <url>', 'delete an object, or all of a prefix or glob')
    .option('--dry-run', 'say what would be deleted, and delete nothing')
    .option('--yes', 'delete more than one object without asking')
    .action(async (url: string, flags: RemoveFlags) =>
      done(await (await import('./storage-rm.ts')).rm(url, flags, context)),
    )
}

/** Commander has its only list at the end, and the URL stands behind the files. */
function filesAndUrl(references: readonly string[]): [readonly string[], string] {
  const url = references.at(-1) as string
  if (references.length < 2) throw new UsageError(`put ${url}: where to is missing: quern storage put FILE… URL`)
  return [references.slice(0, -1), url]
}

function withFlags(command: Command): Command {
  return command.option('--config <file>', 'configuration file').option('--json', 'print JSON, a line an object')
}

function withTransferFlags(command: Command): Command {
  return command
    .option('--concurrency <n>', 'objects at a time', wholeNumber, DEFAULT_CONCURRENCY)
    .option('--no-progress', 'no progress bar')
}

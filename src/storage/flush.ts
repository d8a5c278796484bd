/** Brings what was written to the disk itself, so that it outlives the machine's power: a file, then the folders that name it. */
import { open } from 'node:fs/promises'
import { dirname } from 'node:path'

/** The content of a file that was written and closed. */
export function flushFile(path: string): Promise<void> {
  return flush(path, 'r+')
}

/** The name of a file, and of the folders it lies in, up to `root`: they may have been made for it. */
export async function flushNames(path: string, root: string): Promise<void> {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    await flush(folder, 'r')
    if (folder === root || folder === dirname(folder)) return
  }
}

async function flush(path: string, flags: 'r' | 'r+'): Promise<void> {
  const handle = await open(path, flags)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

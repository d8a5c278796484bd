/** Client libraries are optional peers, loaded when a store is first used. */
import { ConfigError } from '../core/errors.ts'

/** What `load` imports. @throws ConfigError saying what to install, where `packageName` is missing */
export async function loadPeer<T>(backend: string, packageName: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const missing =
      (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') && message.includes(`'${packageName}'`)
    if (!missing) throw error
    throw new ConfigError(`the ${backend} backend needs ${packageName}: npm install ${packageName}`, { cause: error })
  }
}

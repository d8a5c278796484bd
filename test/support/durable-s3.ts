/**
 * An S3 server in a process of its own, to be killed and started again: what it has answered for lies in a folder.
 *
 *   durable-s3.ts FOLDER PORT [WHEN OPERATION PART]
 *
 * It says its port, and `struck` at the first request of that operation whose key has that part in it, where it waits for
 * a while: `before` it is done, `halfway` through the answer, `after` it is done and before it is answered.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type StoredObject, type StoreRequest, startS3InMemory } from './s3-in-memory.ts'

const STRUCK_MS = 500

class KeptObjects extends Map<string, StoredObject> {
  readonly #folder: string

  constructor(folder: string) {
    super()
    this.#folder = folder
    for (const name of readdirSync(folder)) {
      if (name.endsWith('.part')) continue
      const bytes = readFileSync(path.join(folder, name))
      const etag = `"${createHash('md5').update(bytes).digest('hex')}"`
      super.set(decodeURIComponent(name), { bytes, etag })
    }
  }

  override set(key: string, object: StoredObject): this {
    const file = path.join(this.#folder, encodeURIComponent(key))
    writeFileSync(`${file}.part`, object.bytes)
    renameSync(`${file}.part`, file)
    return super.set(key, object)
  }

  override delete(key: string): boolean {
    rmSync(path.join(this.#folder, encodeURIComponent(key)), { force: true })
    return super.delete(key)
  }
}

const [folder = '', port = '0', when, operation, part = ''] = process.argv.slice(2)
const server = await startS3InMemory({ port: Number(port), objects: new KeptObjects(folder) })
let struck = false
const meet = async (request: StoreRequest) => {
  if (struck || request.operation !== operation || !request.key.includes(part)) return 'go on' as const
  struck = true
  process.send?.('struck')
  await new Promise((resolve) => setTimeout(resolve, STRUCK_MS))
  return 'go on' as const
}
if (when !== undefined) server.hooks = { [when]: meet }
process.send?.(server.port)
process.on('disconnect', () => process.exit())

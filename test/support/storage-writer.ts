/** A process that increments a counter in a localhost store under ifMatch, and tries to be first at a key. */
import { collectBytes } from '../../src/core/bytes.ts'
import { LocalhostBackend } from '../../src/storage/localhost.ts'

const [root = '', times = '0'] = process.argv.slice(2)
const storage = new LocalhostBackend({ root })

async function increment(): Promise<void> {
  for (;;) {
    const { head, body } = await storage.get('b', 'counter')
    const next = Number(Buffer.from(await collectBytes(body))) + 1
    try {
      await storage.put('b', 'counter', Buffer.from(`${next}`), { ifMatch: head.etag })
      return
    } catch (error) {
      if ((error as { code?: string }).code !== 'PRECONDITION_FAILED') throw error
    }
  }
}

let firsts = 0
for (let i = 0; i < Number(times); i++) {
  await increment()
  await storage.put('b', `first/${i}`, Buffer.from(`${process.pid}`), { ifAbsent: true }).then(
    () => {
      firsts += 1
    },
    (error: { code?: string }) => {
      if (error.code !== 'ALREADY_EXISTS') throw error
    },
  )
}
process.stdout.write(`${firsts}`)

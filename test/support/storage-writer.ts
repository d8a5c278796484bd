/**
 * A process that increments a counter in a localhost store under ifMatch, tries to be first at keys, and puts and
 * deletes in a folder that others empty.
 */
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
for (let i = 0; i < 1_000; i++) {
  await storage.put('b', `deep/er/${process.pid}`, Buffer.from('x'))
  await storage.delete('b', [`deep/er/${process.pid}`])
}
process.stdout.write(`${firsts}`)

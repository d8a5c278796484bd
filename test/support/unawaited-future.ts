/** A program with a future that fails: nobody awaits it, only a callback sees it, or an await that nobody handles. */
import { Future } from '../../src/futures/future.ts'

const [mode] = process.argv.slice(2)
const future = new Future<number>()
if (mode === 'callback') future.addDoneCallback(() => undefined)
if (mode === 'awaited') future.then(() => undefined)
future.setException(new Error('nobody looks'))
setImmediate(() => undefined)

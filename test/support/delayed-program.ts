import { AsyncExecutor } from '../../src/futures/async-executor.ts'

const executor = new AsyncExecutor()
const future = executor.submitAfter(process.argv[2] === 'waiting' ? 20 : '1h', () => console.log('ran'))
if (process.argv[2] === 'cancelled') future.cancel()

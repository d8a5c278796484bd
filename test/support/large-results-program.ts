/** A driver of calls with large results, read one after the other: `program COUNT MIB`; prints what it found as JSON. */
import { FunctionExecutor } from '../../src/entry/index.ts'

const [count, mib] = process.argv.slice(2).map(Number) as [number, number]
const exec = new FunctionExecutor({ maxWorkers: 1, showProgressbar: false, logLevel: 'silent' })
const make = (i: number, size: number) => Buffer.alloc(size * 2 ** 20, (i % 250) + 1)
const items = Array.from({ length: count }, (_, i) => i)
const job = exec.map(make, items, { extraArgs: [mib], chunksize: 1 })
// all have come before the first is read
await exec.wait(job)
let [bytes, right] = [0, 0]
let error: unknown
for await (const future of job) {
  try {
    const value = (await future) as Buffer
    bytes += value.length
    if (value[0] === (future.index % 250) + 1 && value.at(-1) === value[0]) right += 1
  } catch (caught) {
    const { message } = caught as Error
    error ??= message
  }
  globalThis.gc?.()
}
const [first] = await job.futures()
const [again, twice] = await Promise.allSettled([first?.result(), first?.result()])
const same = again.status === 'fulfilled' && twice.status === 'fulfilled' && again.value === twice.value
const maxRssMiB = Math.round(process.resourceUsage().maxRSS / 1_024)
console.log(JSON.stringify({ bytes, right, same, error, maxRssMiB }))
await exec.shutdown()

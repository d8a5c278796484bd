/** A program: a million objects in memory storage, planned by an executor; prints how many, and the peak of its memory. */
import { FunctionExecutor, objects } from '../../src/entry/index.ts'

const exec = new FunctionExecutor({ backend: 'inline', storage: 'memory', showProgressbar: false })
const body = Buffer.from('x\n')
await exec.storage.createBucket('bucket')
for (let i = 0; i < 1_000_000; i++) {
  await exec.storage.putObject('bucket', `logs/2026/11/21/host-${i % 997}/part-${i}.log`, body)
}
const plan = await exec.plan(objects('memory://bucket/logs/'))
const maxRssMiB = Math.round(process.resourceUsage().maxRSS / 1024)
console.log(JSON.stringify({ partitions: plan.partitions.length, objects: plan.objects, maxRssMiB }))
await exec.shutdown()

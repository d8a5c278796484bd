/** ETL: writes one output object per log file, with the failed requests as JSON lines; answers what it wrote. */
import { basename } from 'node:path'
import { job } from 'quern'

const LINE = /^(\S+) \S+ \S+ \[([^\]]*)\] "(\S+) (\S+)[^"]*" (\d{3}) /
const BUCKET = 'errors'

export default job({
  async map(part, task) {
    const rows: string[] = []
    for await (const lines of part.lineBatches()) {
      for (const line of lines) {
        const [, address, time, method, path, status] = LINE.exec(line) ?? []
        if (Number(status) >= 400)
          rows.push(`${JSON.stringify({ address, time, method, path, status: Number(status) })}\n`)
      }
    }
    await task.storage.createBucket(BUCKET)
    const name = basename(part.object.key)
    // a put is atomic and its key depends on the input alone: running the call again changes nothing
    await task.storage.putObject(BUCKET, `${name}.ndjson`, rows.join(''), { contentType: 'application/x-ndjson' })
    return { object: `${name}.ndjson`, rows: rows.length }
  },
})

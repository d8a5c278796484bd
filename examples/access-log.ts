/** Requests by status code, and bytes sent by path, from access logs in Common Log Format. */
import { job } from 'quern'

// in a job file the functions travel by reference to the file, so they may use whatever stands in it
const LINE = /^\S+ \S+ \S+ \[[^\]]*\] "\S+ (\S+)[^"]*" (\d{3}) (\d+|-)/

interface Totals {
  readonly requestsByStatus: Map<string, number>
  readonly bytesByPath: Map<string, number>
}

export default job({
  async map(part): Promise<Totals> {
    const totals: Totals = { requestsByStatus: new Map(), bytesByPath: new Map() }
    for await (const lines of part.lineBatches()) {
      for (const line of lines) {
        const [, path = '', status = '', bytes = ''] = LINE.exec(line) ?? []
        if (path === '') continue
        add(totals.requestsByStatus, status, 1)
        add(totals.bytesByPath, path, bytes === '-' ? 0 : Number(bytes))
      }
    }
    return totals
  },
  reduce(parts): Totals {
    const [first = { requestsByStatus: new Map(), bytesByPath: new Map() }, ...others] = parts
    for (const { requestsByStatus, bytesByPath } of others) {
      for (const [status, count] of requestsByStatus) add(first.requestsByStatus, status, count)
      for (const [path, bytes] of bytesByPath) add(first.bytesByPath, path, bytes)
    }
    return first
  },
  options: { objChunkSize: '64MiB' },
})

function add(totals: Map<string, number>, key: string, amount: number): void {
  totals.set(key, (totals.get(key) ?? 0) + amount)
}

/** The three most frequent referrers of each log file: one reduce per object, by `objReduceByKey`. */
import { job } from 'quern'

const REFERRER = /" \d{3} (?:\d+|-) "([^"]*)"/

export default job({
  async map(part) {
    const counts = new Map<string, number>()
    for await (const line of part.lines()) {
      const referrer = REFERRER.exec(line)?.[1]
      if (referrer !== undefined && referrer !== '-') counts.set(referrer, (counts.get(referrer) ?? 0) + 1)
    }
    return counts
  },
  reduce(parts) {
    const totals = new Map<string, number>()
    for (const counts of parts) {
      for (const [referrer, count] of counts) totals.set(referrer, (totals.get(referrer) ?? 0) + count)
    }
    return [...totals]
      .sort(([nameA, a], [nameB, b]) => b - a || (nameA < nameB ? -1 : 1))
      .slice(0, 3)
      .map(([referrer, requests]) => ({ referrer, requests }))
  },
  options: { objChunkNumber: 4, objReduceByKey: true },
})

/** How often each word occurs, in any number of text files of any size. */
import { job } from 'quern'
import { mergeCounts } from 'quern/reducers'

const BETWEEN_WORDS = /[^a-z]+/

export default job({
  async map(part) {
    const counts = new Map<string, number>()
    for await (const lines of part.lineBatches()) {
      for (const line of lines) {
        for (const word of line.toLowerCase().split(BETWEEN_WORDS)) {
          if (word !== '') counts.set(word, (counts.get(word) ?? 0) + 1)
        }
      }
    }
    return counts
  },
  reduce: mergeCounts(),
})

/** Word count over one text file: two workers against a plain single-threaded script doing the same work per line. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { FunctionExecutor, objects } from 'quern'
import { mergeCounts } from 'quern/reducers'
import { rounds } from './measure.mjs'
import { textFile } from './text.mjs'

export async function wordcount(bytes) {
  const file = await textFile(bytes)
  const plain = fileURLToPath(new URL('./wordcount-plain.mjs', import.meta.url))
  const totals = {}
  const quern = async () => {
    const exec = new FunctionExecutor({ maxWorkers: 2, showProgressbar: false })
    const counts = await exec.mapReduce(
      async (part) => {
        const counts = new Map()
        for await (const lines of part.lineBatches())
          for (const line of lines)
            for (const word of line.split(/\W+/)) if (word) counts.set(word, (counts.get(word) ?? 0) + 1)
        return counts
      },
      objects(file),
      mergeCounts(),
      { objChunkSize: '32MiB' },
    )
    await exec.shutdown()
    totals.quern = [...counts.values()].reduce((a, b) => a + b, 0)
  }
  const script = async () => {
    totals.plain = Number(execFileSync(process.execPath, [plain, file]))
  }
  const times = await rounds({ quern, script }, 3)
  if (totals.quern !== totals.plain) throw new Error(`words: quern ${totals.quern}, plain ${totals.plain}`)
  const rate = (seconds) => `${Math.round(bytes / 2 ** 20 / seconds)} MiB/s`
  return {
    what: `word count, ${bytes / 2 ** 20} MiB text, start-up included`,
    ours: rate(times.quern),
    peer: `plain single-threaded script ${rate(times.script)}`,
    ratio: times.script / times.quern,
    goal: 1.7,
  }
}

/** Counting lines with recordBlocks() on two warm workers against the best loop written by hand, also warm. */
import { FunctionExecutor, objects } from 'quern'
import { sum } from 'quern/reducers'
import { startByHand } from './lines-by-hand.mjs'
import { rounds } from './measure.mjs'
import { textFile } from './text.mjs'

export async function lines(bytes) {
  const file = await textFile(bytes)
  const exec = new FunctionExecutor({ maxWorkers: 2, showProgressbar: false })
  const byHand = startByHand()
  const totals = {}
  const quern = async () => {
    totals.quern = await exec.mapReduce(
      async (part) => {
        let count = 0
        for await (const block of part.recordBlocks()) count += block.count
        return count
      },
      objects(file),
      sum(),
      { objChunkNumber: 2 },
    )
  }
  const hand = async () => {
    totals.hand = await byHand.count(file)
  }
  const times = await rounds({ quern, hand }, 7)
  byHand.stop()
  await exec.shutdown()
  if (totals.quern !== totals.hand) throw new Error(`lines: quern ${totals.quern}, by hand ${totals.hand}`)
  const rate = (seconds) => `${(bytes / 2 ** 30 / seconds).toFixed(2)} GiB/s`
  return {
    what: `counting lines with recordBlocks(), ${bytes / 2 ** 20} MiB, warm`,
    ours: rate(times.quern),
    peer: `two-process loop by hand ${rate(times.hand)}`,
    ratio: times.hand / times.quern,
    goal: 0.8,
  }
}

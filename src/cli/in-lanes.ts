/**
 * Calls `fn` for everything an iterable gives, at most `lanes` at a time, taking the next only when a lane is free.
 * Resolves when nothing runs any more.
 * @throws the first error of the iterable or of `fn`, after what had begun has ended; nothing more is begun
 */
export async function inLanes<T>(
  items: AsyncIterable<T>,
  lanes: number,
  fn: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.asyncIterator]()
  let failed = false
  const lane = async () => {
    try {
      while (!failed) {
        const next = await iterator.next()
        if (next.done === true) return
        await fn(next.value)
      }
    } catch (error) {
      failed = true
      throw error
    }
  }
  const ended = await Promise.allSettled(Array.from({ length: lanes }, lane))
  await iterator.return?.()
  const rejected = ended.find((each) => each.status === 'rejected')
  if (rejected !== undefined) throw rejected.reason
}

/** A body with somebody looking on: the same chunks, counted; nothing is copied or held back. */

export function observedBody(
  body: AsyncIterable<Uint8Array>,
  onChunk: (bytes: number) => void,
): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]: () => {
      const chunks = body[Symbol.asyncIterator]()
      const observe = (result: IteratorResult<Uint8Array>) => {
        if (result.done !== true) onChunk(result.value.length)
        return result
      }
      return {
        next: () => chunks.next().then(observe),
        return: async () => (await chunks.return?.()) ?? { done: true, value: undefined },
      }
    },
  }
}

/** Bodies that misbehave: what src/storage/with-faults.ts makes of good ones. */

/** The first `bytes` of the body, then what `end` does; the rest is not read. */
export async function* breakingBody(
  body: AsyncIterable<Uint8Array>,
  bytes: number,
  end: () => Promise<void>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let left = bytes
  for await (const chunk of body) {
    if (chunk.length > left) {
      if (left > 0) yield chunk.subarray(0, left)
      break
    }
    left -= chunk.length
    yield chunk
  }
  await end()
}

/** Waits before every chunk. */
export async function* slowBody(
  body: AsyncIterable<Uint8Array>,
  wait: () => Promise<void>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of body) {
    await wait()
    yield chunk
  }
}

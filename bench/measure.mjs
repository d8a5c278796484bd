/** Seconds of each contestant: the median of `count` interleaved rounds after one that does not count; `before` each. */
export async function rounds(contestants, count, before = () => undefined) {
  const names = Object.keys(contestants)
  const seconds = Object.fromEntries(names.map((name) => [name, []]))
  for (let round = 0; round <= count; round++) {
    for (const name of names) {
      before()
      const from = performance.now()
      await contestants[name]()
      if (round > 0) seconds[name].push((performance.now() - from) / 1_000)
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(seconds[name])]))
}

export function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
}

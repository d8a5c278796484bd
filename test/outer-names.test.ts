/** What the build takes out of joined modules: names given anew to each closure (scripts/outer-names.mjs). */
import { describe, expect, it } from 'vitest'

const { withOuterNames }: { withOuterNames(text: string): string } = await import(
  new URL('../scripts/outer-names.mjs', import.meta.url).href
)

const JOINED = `var __name = (target, value) => Object.defineProperty(target, "name", { value });
class Kept2 { static { __name(this, "Kept"); } field = /* @__PURE__ */ __name((x) => x, "field"); }
function outer2(list) {
  function inner() { return list; }
  __name(inner, "inner");
  const arrow = /* @__PURE__ */ __name(((x) => x ?? __name(() => 1, "deep")), "arrow");
  return [inner, arrow, { method: /* @__PURE__ */ __name((a, b) => [a, b], "method") }];
}
__name(outer2, "outer");
const top2 = /* @__PURE__ */ __name(() => 1, "top");
globalThis.outerNamesTest = { Kept2, outer2, top2 };
`

describe('names in joined modules', () => {
  it('are given once to what stands outside, and left to the text inside functions', async () => {
    const text = withOuterNames(JOINED)
    expect(text.length).toBe(JOINED.length)
    expect(text.split('\n').map((line) => line.length)).toEqual(JOINED.split('\n').map((line) => line.length))
    expect([...text.matchAll(/__name\(/g)].length).toBe(3)
    await import(`data:text/javascript,${encodeURIComponent(text)}`)
    const { Kept2, outer2, top2 } = Reflect.get(globalThis, 'outerNamesTest')
    Reflect.deleteProperty(globalThis, 'outerNamesTest')
    expect([Kept2.name, outer2.name, top2.name]).toEqual(['Kept', 'outer', 'top'])
    const [inner, arrow, { method }] = outer2('list')
    expect([inner.name, arrow.name, method.name, new Kept2().field.name]).toEqual([
      ...['inner', 'arrow', 'method', 'field'],
    ])
    expect([inner(), arrow(2), method(3, 4)]).toEqual(['list', 2, [3, 4]])
  })
})

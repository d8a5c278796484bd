import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { loadFunction } from '../../src/functions/load-function.ts'

const MODULE = new URL('./modules/tied.ts', import.meta.url).href
type Fn = (...args: unknown[]) => unknown

describe('loadFunction', () => {
  it('gives the same function for the same content', async () => {
    const text = { kind: 'text', text: '(x) => x', name: 'f' } as const
    expect(await loadFunction(text)).toBe(await loadFunction({ ...text }))
    expect(await loadFunction({ ...text, text: '(y) => y' })).not.toBe(await loadFunction(text))
  })

  it('calls the export with args, functions among them loaded', async () => {
    const then = { $fn: { kind: 'text', text: '(x) => x + 1', name: 'then' } } as const
    const fn = await loadFunction({ kind: 'module', url: MODULE, export: 'multiplyBy', args: [3, then] })
    expect((fn as Fn)(7)).toBe(22)
  })

  it('a reducer by its methods', async () => {
    const method = (text: string) => ({ kind: 'text', text, name: 'm' }) as const
    const methods = {
      initial: method('() => 1'),
      add: method('(a, b) => a * b'),
      merge: method('(a, b) => a * b'),
      finish: method('(a) => -a'),
    }
    const reducer = (await loadFunction({ kind: 'object', methods, commutative: true })) as Record<string, Fn>
    expect(reducer.finish?.(reducer.add?.(reducer.initial?.(), 5))).toBe(-5)
    expect(reducer.commutative).toBe(true)
  })

  it.each([
    ['a missing export', { kind: 'module', url: MODULE, export: 'nope' }, `${MODULE} has no export 'nope'; it exports`],
    ['a missing path', { kind: 'module', url: MODULE, export: 'default.nope' }, "no export 'default.nope'"],
    ['args for what is no function', { kind: 'module', url: MODULE, export: 'default', args: [] }, 'no function'],
    ['a missing module', { kind: 'module', url: `${MODULE}x.js`, export: 'a' }, 'cannot import'],
    ['text that does not compile', { kind: 'text', text: '(x) => {', name: 'broken' }, "'broken' does not compile"],
  ] as const)('%s', async (_name, shipped, message) => {
    await expect(loadFunction(shipped)).rejects.toMatchObject({
      code: 'SERIALIZATION',
      message: expect.stringContaining(message),
    })
  })

  it('import() in text finds the packages of the working directory', async () => {
    const fn = await loadFunction({ kind: 'text', text: "async () => (await import('acorn')).version", name: 'f' })
    expect(await (fn as Fn)()).toMatch(/^\d+\./)
  })

  it('TypeScript and a text with esbuild names, in a process of its own', () => {
    const script = `
      import { loadFunction } from '${new URL('../../src/functions/load-function.ts', import.meta.url).href}'
      const tied = await loadFunction({ kind: 'module', url: '${MODULE}', export: 'tied' })
      const named = await loadFunction({ kind: 'text', text: '(x) => { const g = __name((y) => y + 1, "g"); return g(x) }', name: 'n' })
      console.log(tied(1), named(1))`
    const options = { encoding: 'utf8', cwd: new URL('../..', import.meta.url) } as const
    const output = execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], options)
    expect(output.trim()).toBe('42 2')
  })
})

/** What `run` and `plan` read, by their flags; and what `plan` shows while it looks for it. */
import { describe, expect, it } from 'vitest'
import { runCommandLine } from '../../src/cli/program.ts'
import { fakeContext } from './fake-context.ts'

const PLAN = {
  partitions: [],
  objects: 0,
  bytes: 0,
  skipped: [],
  warnings: [],
  requests: { get: 0, list: 0, put: 0 },
  cost: { currency: 'USD', amount: 0, assumptions: '' },
  sizes: { min: 0, median: 0, max: 0 },
}

async function plan(args: readonly string[], options: { readonly isTTY?: boolean } = {}) {
  const context = fakeContext(() => PLAN, options)
  const code = await runCommandLine(['plan', ...args], '1.0.0', context)
  const [, selection, how] = context.asked.find(([method]) => method === 'plan') ?? []
  return { code, selection, how, ...context.written }
}

describe('what is read', () => {
  it.each([
    [['--input', 'a', 'b'], { references: ['a', 'b'] }],
    [['--inventory', 's3://inv/src/daily/'], { inventory: 's3://inv/src/daily/', options: {} }],
    [['--inventory', 's3://inv/m.json', '--check-heads'], { inventory: 's3://inv/m.json', options: { check: 'head' } }],
    [['--key-list', 'keys.txt', '--key-base', 's3://b/'], { keyList: 'keys.txt', options: { base: 's3://b/' } }],
  ])('%j', async (flags, selection) => {
    expect((await plan(flags)).selection).toMatchObject({ kind: 'object-selection', ...selection })
  })

  it.each([
    [['--input', 'a', '--inventory', 's3://i/m'], '--input and --inventory each say what is read'],
    [['--inventory', 's3://i/m', '--key-list', 'k'], '--inventory and --key-list each say what is read'],
    [['--input', 'a', '--key-base', 's3://b/'], '--key-base needs --key-list'],
    [['--input', 'a', '--check-heads'], '--check-heads needs --inventory or --key-list'],
    [['--key-list', '-'], 'standard input is not read'],
    [[], 'nothing to plan'],
  ])('%j is refused', async (flags, message) => {
    const { code, stderr } = await plan(flags)
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) })
  })
})

describe('progress of plan', () => {
  it('is drawn on a terminal, gone at the end, and never on stdout', async () => {
    const shown = await plan(['--input', 'a'], { isTTY: true })
    expect(shown.stderr).toBe('plan  planning\n\x1b[1A\x1b[0J')
    expect(shown.stdout).not.toContain('planning')
    expect(shown.how).toMatchObject({ onProgress: expect.any(Function) })
  })

  it('is left out by --no-progress', async () => {
    const { stderr, how } = await plan(['--input', 'a', '--no-progress'], { isTTY: true })
    expect({ stderr, how }).toEqual({ stderr: '', how: {} })
  })
})

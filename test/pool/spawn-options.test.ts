import { describe, expect, it } from 'vitest'
import { inheritedEnv, inheritedFlags, loaderFlags } from '../../src/pool/spawn-options.ts'

describe('flags a worker inherits', () => {
  it.each([
    { given: ['--import', 'tsx'], kept: ['--import', 'tsx'] },
    {
      given: ['--require', './setup.cjs', '--conditions=development'],
      kept: ['--require', './setup.cjs', '--conditions=development'],
    },
    { given: ['--inspect', '--inspect-brk=9230', '--inspect-port', '9231'], kept: [] },
    { given: ['--test', '--test-reporter', 'spec', '--test-concurrency=2'], kept: [] },
    { given: ['--cpu-prof', '--cpu-prof-dir', '/tmp/p', '--heap-prof'], kept: [] },
    { given: ['-e', 'code()', '--enable-source-maps'], kept: ['--enable-source-maps'] },
    { given: ['--input-type', 'module', '--eval=code()', '-p'], kept: [] },
    { given: ['--watch', '--watch-path', 'src', '--no-warnings'], kept: ['--no-warnings'] },
    { given: ['--print', 'x', '--evaluate-nothing'], kept: ['--evaluate-nothing'] },
    { given: ['--max-old-space-size=300'], kept: ['--max-old-space-size=300'] },
  ])('$given → $kept', ({ given, kept }) => {
    expect(inheritedFlags(given)).toEqual(kept)
  })
})

describe('environment a worker inherits', () => {
  it('is the driver’s without what belongs to a test runner, a debugger or a channel, and with what is added', () => {
    const env = {
      PATH: '/bin',
      VITEST: 'true',
      VITEST_POOL_ID: '1',
      NODE_CHANNEL_FD: '3',
      GONE: undefined,
      NODE_OPTIONS: '--inspect --import "a b.mjs" --cpu-prof',
    }
    expect(inheritedEnv(env, { EXTRA: '1', PATH: '/usr/bin' })).toEqual({
      PATH: '/usr/bin',
      NODE_OPTIONS: '--import "a b.mjs"',
      EXTRA: '1',
    })
  })
})

describe('loader of a worker', () => {
  const loader = () => 'file:///tsx.mjs'
  it.each([
    { entry: 'file:///w.js', inherited: [], flags: [] },
    { entry: 'file:///w.ts', inherited: [], flags: ['--import', 'file:///tsx.mjs'] },
    { entry: 'file:///w.mts', inherited: ['--no-warnings'], flags: ['--import', 'file:///tsx.mjs'] },
    { entry: 'file:///w.ts', inherited: ['--import', 'file:///x/node_modules/tsx/dist/loader.mjs'], flags: [] },
  ])('$entry with $inherited → $flags', ({ entry, inherited, flags }) => {
    expect(loaderFlags(new URL(entry), inherited, loader)).toEqual(flags)
  })
})

import { describe, expect, it } from 'vitest'
import { parseOptions, type SettingsOf } from '../../src/config/options.ts'
import { ValidationError } from '../../src/core/errors.ts'

const retryIf = () => true

describe('options of failures', () => {
  it.each<[string, keyof SettingsOf, Record<string, unknown>, Record<string, unknown>]>([
    ['a number of retries', 'call', { retries: 0 }, { retries: { retries: 0 } }],
    [
      'a policy',
      'call',
      { retries: { retries: 3, backoff: 0, maxBackoff: '5s', retryIf, memoryFactor: 1.5, maxMemory: 4096, budget: 9 } },
      {
        retries: {
          retries: 3,
          backoffMs: 0,
          maxBackoffMs: 5_000,
          retryIf,
          memoryFactor: 1.5,
          maxMemoryMiB: 4096,
          budget: 9,
        },
      },
    ],
    [
      'deadlines',
      'call',
      { queueTimeout: '1h', silenceTimeout: 500 },
      { queueTimeoutMs: 3_600_000, silenceTimeoutMs: 500 },
    ],
    ['so many failures', 'map', { maxFailures: 0 }, { maxFailures: { count: 0 } }],
    ['a share of failures', 'map', { maxFailures: '2.5 %' }, { maxFailures: { percent: 2.5 } }],
    ['backups', 'mapReduce', { speculate: true }, { speculate: {} }],
    ['no backups', 'map', { speculate: false }, {}],
    ['backups by numbers', 'map', { speculate: { minCalls: 4, factor: 2 } }, { speculate: { minCalls: 4, factor: 2 } }],
    [
      'failFast off beside failures',
      'map',
      { failFast: false, maxFailures: 1 },
      { failFast: false, maxFailures: { count: 1 } },
    ],
  ])('%s', (_, method, options, settings) => {
    expect(parseOptions(method, options)).toMatchObject(settings)
    for (const name of Object.keys(options))
      if (!(name in settings)) expect(parseOptions(method, options)).not.toHaveProperty(name)
  })

  it.each<[string, keyof SettingsOf, Record<string, unknown>, string]>([
    [
      'retries below 0',
      'call',
      { retries: -1 },
      "call options.retries: expected a whole number from 0 to 10000, or an object with 'retries', got -1",
    ],
    [
      'a policy without a number',
      'call',
      { retries: { backoff: 1 } },
      'call options.retries.retries: expected a whole number from 0 to 10000, got undefined',
    ],
    [
      'an unknown part',
      'call',
      { retries: { retries: 1, backof: 1 } },
      "call options.retries.backof: unknown option, did you mean 'backoff'?",
    ],
    [
      'a predicate that is none',
      'call',
      { retries: { retries: 1, retryIf: 'yes' } },
      'call options.retries.retryIf: expected a function of the error and the number of the attempt, got "yes"',
    ],
    [
      'a factor that shrinks',
      'call',
      { retries: { retries: 1, memoryFactor: 0.5 } },
      'memoryFactor: expected a number from 1 to 100',
    ],
    [
      'pauses that do not fit',
      'map',
      { retries: { retries: 1, backoff: '2s', maxBackoff: '1s' } },
      'map options.retries.maxBackoff: expected at least backoff (2000 milliseconds), got 1000',
    ],
    [
      'more than all',
      'map',
      { maxFailures: '101%' },
      'map options.maxFailures: expected a whole number from 0, or a percentage such as "5%", got "101%"',
    ],
    ['text', 'map', { maxFailures: 'some' }, 'got "some"'],
    ['a part of a failure', 'map', { maxFailures: 0.5 }, 'got 0.5'],
    [
      'both ways to end',
      'map',
      { failFast: true, maxFailures: 3 },
      'map options.maxFailures: expected none beside failFast: true',
    ],
    [
      'a word for backups',
      'map',
      { speculate: 'yes' },
      'map options.speculate: expected true, false, or an object of minCalls, minDoneFraction, factor',
    ],
    [
      'a fraction above 1',
      'map',
      { speculate: { minDoneFraction: 50 } },
      'map options.speculate.minDoneFraction: expected a number from 0 to 1, got 50',
    ],
    ['backups of a call', 'call', { speculate: true }, 'call options.speculate: unknown option'],
    ['failures of a call', 'call', { maxFailures: 1 }, 'call options.maxFailures: unknown option'],
  ])('refuse %s', (_, method, options, message) => {
    expect(() => parseOptions(method, options)).toThrow(ValidationError)
    expect(() => parseOptions(method, options)).toThrow(message)
  })
})

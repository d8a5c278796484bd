import { describe, expect, it } from 'vitest'
import { parseOptions, type SettingsOf } from '../../src/config/options.ts'
import { ValidationError } from '../../src/core/errors.ts'

describe('parseOptions', () => {
  it.each<[keyof SettingsOf, unknown, unknown]>([
    ['map', undefined, { partition: {} }],
    [
      'map',
      { timeout: '30s', chunksize: 4, objChunkSize: '64MiB', objNewline: null, failFast: undefined },
      { timeoutMs: 30_000, chunksize: 4, partition: { objChunkSize: '64MiB', objNewline: null } },
    ],
    [
      'mapReduce',
      { spawnReducer: 0, mapRuntimeMemory: 512, extraArgsReduce: [1] },
      { spawnReducer: 0, mapRuntimeMemoryMiB: 512, extraArgsReduce: [1], partition: {} },
    ],
    [
      'call',
      { extraEnv: { A: '1', EMPTY: '' }, retries: 2 },
      { extraEnv: { A: '1', EMPTY: '' }, retries: { retries: 2 } },
    ],
    ['wait', { returnWhen: 30, timeout: 0 }, { returnWhen: 30, timeoutMs: 0 }],
    ['wait', { returnWhen: 'ANY_COMPLETED' }, { returnWhen: 'ANY_COMPLETED' }],
    ['getResult', { throwExcept: false }, { throwExcept: false }],
    ['shutdown', { wait: false }, { wait: false }],
    [
      'executor',
      { storage: 'memory', logLevel: 'DEBUG', workerProcesses: 2, runtimeMemory: 256 },
      { storage: 'memory', logLevel: 'debug', section: { workerProcesses: 2, runtimeMemoryMiB: 256 } },
    ],
  ])('%s %j', (method, options, settings) => {
    expect(parseOptions(method, options)).toEqual(settings)
  })

  it.each<[keyof SettingsOf, unknown, string]>([
    ['mapReduce', { spawnReducer: 120 }, 'mapReduce options.spawnReducer: expected a number from 0 to 100, got 120'],
    ['mapReduce', { spawnReducer: Number.NaN }, 'expected a number from 0 to 100, got NaN'],
    ['mapReduce', { spawnReduce: 20 }, "mapReduce options.spawnReduce: unknown option, did you mean 'spawnReducer'?"],
    ['map', { spawnReducer: 20 }, 'map options.spawnReducer: unknown option'],
    ['map', { chunksize: 0 }, 'map options.chunksize: expected a whole number from 1, got 0'],
    [
      'map',
      { timeout: 0 },
      'map options.timeout: expected milliseconds above 0, or text such as "30s" or "5min", got 0',
    ],
    ['map', { timeout: '30 parsecs' }, 'got "30 parsecs"'],
    ['map', { timeout: true }, 'got true'],
    ['map', { extraEnv: { A: 1 } }, "map options.extraEnv.A: expected text without NUL, got 1; write '1'"],
    ['map', { extraEnv: { A: undefined } }, 'map options.extraEnv.A: expected text without NUL, got undefined'],
    ['map', { extraEnv: { 'A=B': 'x' } }, "map options.extraEnv: expected names without '=' and NUL"],
    ['map', { extraEnv: new Map() }, 'map options.extraEnv: expected an object, got a Map'],
    ['map', { extraArgs: 'abc' }, 'map options.extraArgs: expected a list, got "abc"'],
    ['map', { signal: {} }, 'map options.signal: expected an AbortSignal, got an object'],
    ['map', { durable: 'yes' }, 'map options.durable: expected true or false, got "yes"'],
    ['map', 'fast', 'map options: expected an object, got "fast"'],
    ['map', [1], 'map options: expected an object, got a list of 1'],
    ['map', null, 'map options: expected an object, got null'],
    ['map', { constructor: 1 }, 'map options.constructor: unknown option'],
    [
      'wait',
      { returnWhen: 'SOMETIME' },
      "expected 'ALL_COMPLETED', 'ANY_COMPLETED', 'ALWAYS', 'FIRST_EXCEPTION' or a percentage",
    ],
    ['wait', { returnWhen: 101 }, 'a percentage from 0 to 100, got 101'],
    ['wait', { timeout: -1 }, 'expected milliseconds from 0'],
    ['executor', { workers: 2 }, 'executor options.workers: unknown option'],
    ['executor', { mode: 'local' }, "expected one of 'localhost', 'serverless', 'standalone', got \"local\""],
  ])('%s %j is refused', (method, options, message) => {
    expect(() => parseOptions(method, options)).toThrow(ValidationError)
    expect(() => parseOptions(method, options)).toThrow(message)
  })

  it('says where in the words of the caller', () => {
    expect(() => parseOptions('executor', { logLevel: 3 }, 'FunctionExecutor options')).toThrow(
      'FunctionExecutor options.logLevel: expected one of',
    )
  })
})

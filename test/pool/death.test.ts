import { describe, expect, it } from 'vitest'
import { classifyDeath, describeExit } from '../../src/pool/death.ts'

const HEAP = 'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory'

describe('how a worker died', () => {
  it.each([
    [{ exitCode: 3, stderrTail: 'x' }, {}, { reason: 'exited', exitCode: 3, stderrTail: 'x' }],
    [{ signal: 'SIGKILL', stderrTail: '' }, {}, { reason: 'exited', signal: 'SIGKILL' }],
    [{ signal: 'SIGKILL', stderrTail: '' }, { ended: 'stopped' }, { reason: 'stopped' }],
    [{ signal: 'SIGKILL', stderrTail: '' }, { ended: 'closed' }, { reason: 'closed' }],
    [{ signal: 'SIGABRT', stderrTail: HEAP }, { memoryMiB: 64 }, { reason: 'outOfMemory', memoryLimitMiB: 64 }],
    [{ exitCode: 134, stderrTail: HEAP }, {}, { reason: 'outOfMemory' }],
    [{ signal: 'SIGABRT', stderrTail: 'assert' }, {}, { reason: 'exited', signal: 'SIGABRT' }],
    // a program that prints those words and leaves by itself is not out of memory
    [{ exitCode: 0, stderrTail: HEAP }, {}, { reason: 'exited', exitCode: 0 }],
  ] as const)('%j with %j is %j', (exit, context, death) => {
    expect(classifyDeath(exit, context)).toMatchObject(death)
  })

  it('is told in one line', () => {
    expect(describeExit({ exitCode: 1, stderrTail: '' })).toBe('exit code 1')
    expect(describeExit({ signal: 'SIGSEGV', stderrTail: '' })).toBe('signal SIGSEGV')
    expect(describeExit({ error: new Error('spawn ENOENT'), stderrTail: '' })).toBe('spawn ENOENT')
  })
})

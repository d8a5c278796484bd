import { describe, expect, it } from 'vitest'
import { CallError, JobError, NotFoundError, TerminatedWorkerError } from '../../src/core/errors.ts'
import { decodeError, encodeError, registerErrorClass } from '../../src/functions/error-codec.ts'

const travel = (thrown: unknown) => decodeError(encodeError(thrown)) as Error & Record<string, unknown>

class ParseFailure extends SyntaxError {
  override readonly name = 'ParseFailure'
  readonly at: { line: number }
  constructor(message: string, at: { line: number }) {
    super(message)
    this.at = at
  }
}
class Registered extends Error {
  readonly detail = new Map([['k', 1]])
  describe() {
    return `${this.message} with ${this.detail.size}`
  }
}

describe('error codec', () => {
  it.each([Error, TypeError, RangeError, SyntaxError, EvalError, URIError, ReferenceError])('%o', (cls) => {
    const error = new cls('what')
    const back = travel(error)
    expect(back).toBeInstanceOf(cls)
    expect([back.name, back.message, back.stack]).toEqual([error.name, 'what', error.stack])
    expect(Object.keys(back)).toEqual([])
    expect(Object.hasOwn(back, 'cause')).toBe(false)
  })

  it('code and own data, what cannot travel as text', () => {
    const error = Object.assign(new Error('x'), {
      code: 'ENOENT',
      data: { list: [1n] },
      run: () => 1,
      when: new Date(5),
    })
    const back = travel(error)
    expect(back).toMatchObject({ code: 'ENOENT', data: { list: [1n] }, when: new Date(5) })
    expect(back.run).toBe('[Function: run]')
  })

  it('causes of every kind, undefined included', () => {
    expect(travel(new Error('a', { cause: new TypeError('b', { cause: { k: 1 } }) })).cause).toMatchObject({
      message: 'b',
      cause: { k: 1 },
    })
    expect(Object.hasOwn(travel(new Error('a', { cause: undefined })), 'cause')).toBe(true)
  })

  it('a chain of causes that never ends is cut, one that bites its tail still does', () => {
    let error = new Error('0')
    for (let i = 1; i < 100; i++) error = new Error(String(i), { cause: error })
    let at: unknown = travel(error)
    let depth = 0
    while (at instanceof Error) {
      at = at.cause
      depth += 1
    }
    expect([depth, at]).toEqual([16, 'Error: 83'])
    const loop = new Error('loop') as Error & { cause: unknown }
    loop.cause = new Error('mid', { cause: loop })
    const back = travel(loop)
    expect((back.cause as Error).message).toBe('mid')
    expect((back.cause as Error).cause).toBe(back)
  })

  it('AggregateError with its errors', () => {
    const back = travel(new AggregateError([new TypeError('a'), 'b', { c: 1 }], 'all'))
    expect(back).toBeInstanceOf(AggregateError)
    expect((back.errors as unknown[])[0]).toBeInstanceOf(TypeError)
    expect((back.errors as unknown[]).slice(1)).toEqual(['b', { c: 1 }])
  })

  it.each([
    new NotFoundError('no such key', { backend: 'aws_s3', operation: 'get', bucket: 'b', key: 'k', status: 404 }),
    new TerminatedWorkerError('died', { exitCode: 3, signal: 'SIGKILL', stderrTail: 'boom' }),
    new CallError('call 3 failed', '00003', { cause: new Error('inner') }),
    new JobError('2 failed', { jobId: 'M000', errors: [new Error('e1')], failedCalls: ['00001'], callCount: 2 }),
  ])('quern errors with their fields: $name', (error) => {
    const back = travel(error)
    expect(back).toBeInstanceOf(error.constructor)
    expect(back.name).toBe(error.name)
    const { stack: _s, ...fields } = { ...error } as Record<string, unknown>
    expect({ ...back }).toMatchObject(JSON.parse(JSON.stringify(fields, (_k, v) => (v instanceof Error ? {} : v))))
  })

  it('an unknown class becomes the nearest known one, under its own name', () => {
    const back = travel(new ParseFailure('bad', { line: 3 }))
    expect(back).toBeInstanceOf(SyntaxError)
    expect(back).not.toBeInstanceOf(ParseFailure)
    expect([back.name, back.at]).toEqual(['ParseFailure', { line: 3 }])
  })

  it('a name that only its class knows', () => {
    class Odd extends Error {}
    Object.defineProperty(Odd.prototype, 'name', { value: 'Strange' })
    expect(travel(new Odd('x')).name).toBe('Strange')
  })

  it('a registered class holds with its methods, and runs no constructor', () => {
    registerErrorClass(Registered)
    const back = travel(new Registered('r')) as unknown as Registered
    expect(back).toBeInstanceOf(Registered)
    expect(back.describe()).toBe('r with 1')
  })

  it('DOMException, as AbortSignal gives', () => {
    const back = travel(new DOMException('stopped', 'AbortError'))
    expect(back).toBeInstanceOf(DOMException)
    expect([back.name, back.code]).toEqual(['AbortError', 20])
  })

  it.each([undefined, null, 'text', { status: 5 }, 0n])('thrown without being an error: %s', (thrown) => {
    const back = travel(thrown)
    expect(back.message).toContain('no error')
    expect(back.cause).toEqual(thrown)
  })

  const evil: [string, unknown][] = [
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a Proxy that throws', new Proxy(new Error('x'), { get() { throw new Error('trap') } })], // biome-ignore format: a case
    ['a revoked Proxy', revoked()],
    ['getters that throw', Object.defineProperties(new Error('x'), { message: { get() { throw new Error('m') } }, a: { enumerable: true, get() { throw new Error('a') } } })], // biome-ignore format: a case
    [
      'an error whose name is an object that cannot be text',
      Object.assign(new Error('x'), { name: Object.create(null) }),
    ],
  ]
  it.each(evil)('never throws: %s', (_name, thrown) => {
    expect(decodeError(encodeError(thrown))).toBeInstanceOf(Error)
  })

  it('bytes that are no error give an error', () => {
    expect(decodeError(Buffer.from('garbage')).message).toContain('cannot be decoded')
  })
})

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

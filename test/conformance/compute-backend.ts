/**
 * What every ComputeBackend must do (src/compute/backend.ts), as tests. Clauses follow its capabilities: what is
 * claimed is tested, what is not claimed is left out.
 */
import { afterEach, describe, expect, it } from 'vitest'
import type { ComputeBackend, Invocation, InvocationDeath } from '../../src/compute/backend.ts'
import { type Command, commandPayload } from './compute-program.ts'

export interface ComputeUnderTest {
  readonly slots: number
  readonly waitingSlots: number
  /** The first message of a worker; `refuse` makes the program's start fail. */
  readonly startup: Uint8Array
}

/** `create` gives a backend whose workers run compute-program.ts. A signal to a thread would end the tests. */
export function testComputeBackend(
  name: string,
  create: (options: ComputeUnderTest) => ComputeBackend,
  workers: 'processes' | 'threads' = 'processes',
): void {
  describe(`compute backend ${name}`, () => {
    const open: Driver[] = []
    const drive = (options: Partial<ComputeUnderTest> = {}) => {
      const driver = new Driver(create({ slots: 2, waitingSlots: 2, startup: Buffer.from('hello'), ...options }))
      open.push(driver)
      return driver
    }
    afterEach(async () => {
      await Promise.all(open.splice(0).map((driver) => driver.backend.close()))
    })
    testDelivery(drive)
    testSlots(drive)
    testFeeds(drive)
    testClosing(drive)
    const probe = create({ slots: 1, waitingSlots: 0, startup: Buffer.from('') })
    if (probe.capabilities.stopsRunning) testStops(drive)
    if (probe.reach !== 'process') testDeaths(drive, DEATHS[workers])
    if (probe.reach !== 'process') testStart(drive)
  })
}

type Drive = (options?: Partial<ComputeUnderTest>) => Driver

function testDelivery(drive: Drive): void {
  it('runs a payload once and tells its end once', async () => {
    const driver = drive()
    const run = driver.start({ do: 'count', n: 1 })
    expect(await run.ended).toBeUndefined()
    expect(run.messages).toEqual(['0'])
    expect(run.ends).toBe(1)
  })

  it('delivers messages in order, all of them before the end', async () => {
    const run = drive().start({ do: 'count', n: 3_000 })
    await run.ended
    expect(run.atEnd).toEqual(Array.from({ length: 3_000 }, (_, i) => `${i}`))
  })

  it('carries a payload of 32 MiB there and back', async () => {
    const body = Buffer.alloc(32 * 2 ** 20)
    for (let i = 0; i < body.length; i += 4_093) body[i] = i % 251
    const run = drive().start({ do: 'echo' }, { body })
    await run.ended
    expect(run.bytes.map((bytes) => body.equals(bytes))).toEqual([true])
  })

  it('gives each invocation the shared part it names', async () => {
    const driver = drive({ slots: 1 })
    const said: string[] = []
    // more parts than a worker keeps, then the first again
    for (const shared of [...Array.from({ length: 20 }, (_, i) => `part ${i}`), 'part 0', 'part 19']) {
      const run = driver.start({ do: 'env', name: 'NONE' }, { shared })
      await run.ended
      said.push(run.messages[0] as string)
      expect(run.messages[0]).toContain(`shared:${shared}`)
    }
    expect(said).toHaveLength(22)
  })
}

function testSlots(drive: Drive): void {
  it('never runs more than its slots at once, and runs the rest afterwards', async () => {
    const driver = drive()
    const { slots } = driver.backend.capabilities
    const runs = Array.from({ length: slots + 2 }, () => driver.start({ do: 'hold' }))
    for (let done = 0; done < runs.length; done++) {
      await driver.until(
        () => runs.filter((run) => run.messages.length > 0).length === Math.min(runs.length, slots + done),
      )
      const running = runs.filter((run) => run.messages.length > 0 && run.ends === 0)
      expect(running.length).toBeLessThanOrEqual(slots)
      driver.backend.send((running[0] as Run).id, Buffer.from('go'))
      await (running[0] as Run).ended
    }
  })

  it('runs what waits beside its slots', async () => {
    const driver = drive({ slots: 1, waitingSlots: 1 })
    const waiting = driver.start({ do: 'hold' }, { waits: true })
    await driver.until(() => waiting.messages.length === 1)
    expect(await driver.start({ do: 'count', n: 1 }).ended).toBeUndefined()
    expect(waiting.ends).toBe(0)
    driver.backend.send(waiting.id, Buffer.from('go'))
    expect(await waiting.ended).toBeUndefined()
  })
}

function testFeeds(drive: Drive): void {
  it('feeds an invocation whatever its state: accepted, waiting for a slot, running', async () => {
    const driver = drive({ slots: 1, waitingSlots: 0 })
    const first = driver.start({ do: 'sum-feeds', n: 100 })
    const queued = driver.start({ do: 'sum-feeds', n: 50 })
    for (let i = 1; i <= 50; i++) driver.backend.send(first.id, Buffer.from(`${i}`))
    for (let i = 1; i <= 50; i++) driver.backend.send(queued.id, Buffer.from(`${i}`))
    const other = drive().start({ do: 'count', n: 1 })
    await other.ended
    for (let i = 51; i <= 100; i++) driver.backend.send(first.id, Buffer.from(`${i}`))
    await Promise.all([first.ended, queued.ended])
    expect([first.messages, queued.messages]).toEqual([['5050'], ['1275']])
  })

  it('drops feeds and stops for what has ended or never was', async () => {
    const driver = drive()
    const run = driver.start({ do: 'count', n: 1 })
    await run.ended
    driver.backend.send(run.id, Buffer.from('late'))
    driver.backend.send(999_999, Buffer.from('unknown'))
    await driver.backend.stop(run.id)
    await driver.backend.stop(999_999)
    expect(await driver.start({ do: 'count', n: 1 }).ended).toBeUndefined()
    expect(run.ends).toBe(1)
  })

  it('ends what is stopped before it runs', async () => {
    const driver = drive({ slots: 1, waitingSlots: 0 })
    const first = driver.start({ do: 'hold' })
    const second = driver.start({ do: 'count', n: 1 })
    await driver.until(() => first.messages.length === 1)
    await driver.backend.stop(second.id)
    expect((await second.ended)?.reason).toBe('stopped')
    driver.backend.send(first.id, Buffer.from('go'))
    expect(await first.ended).toBeUndefined()
    expect(second.messages).toEqual([])
  })
}

function testStops(drive: Drive): void {
  it('stops an endless loop, and only that', async () => {
    const driver = drive()
    const sibling = driver.start({ do: 'hold' })
    const endless = driver.start({ do: 'spin' })
    await driver.until(() => endless.messages.length === 1 && sibling.messages.length === 1)
    await Promise.all([driver.backend.stop(endless.id), driver.backend.stop(endless.id)])
    expect(endless.ends).toBe(1)
    expect((await endless.ended)?.reason).toBe('stopped')
    driver.backend.send(sibling.id, Buffer.from('go'))
    expect(await sibling.ended).toBeUndefined()
    expect(await driver.start({ do: 'count', n: 1 }).ended).toBeUndefined()
  })
}

interface Death {
  readonly command: Command
  readonly memoryMiB?: number
  readonly expected: object
}

const PROCESS_DEATHS: readonly Death[] = [
  { command: { do: 'exit', n: 42 }, expected: { reason: 'exited', exitCode: 42 } },
  { command: { do: 'exit', n: 0 }, expected: { reason: 'exited', exitCode: 0 } },
  { command: { do: 'signal' }, expected: { reason: 'exited', signal: 'SIGKILL' } },
  { command: { do: 'abort' }, expected: { reason: 'exited', signal: 'SIGABRT' } },
  { command: { do: 'exhaust' }, memoryMiB: 64, expected: { reason: 'outOfMemory', memoryLimitMiB: 64 } },
]

const THREAD_DEATHS: readonly Death[] = [
  { command: { do: 'exit', n: 42 }, expected: { reason: 'exited', exitCode: 42 } },
  { command: { do: 'exit', n: 0 }, expected: { reason: 'exited', exitCode: 0 } },
  { command: { do: 'abort' }, expected: { reason: 'exited', error: { code: 'ERR_WORKER_UNSUPPORTED_OPERATION' } } },
  { command: { do: 'exhaust' }, memoryMiB: 64, expected: { reason: 'outOfMemory', memoryLimitMiB: 64 } },
]

const DEATHS = { processes: PROCESS_DEATHS, threads: THREAD_DEATHS }

function testDeaths(drive: Drive, deaths: readonly Death[]): void {
  it.each(deaths)(
    'a death by $command.do ($command.n) ends only its own invocation, with how it died',
    async (death) => {
      const driver = drive()
      const sibling = driver.start({ do: 'hold' })
      const doomed = driver.start(death.command, { memoryMiB: death.memoryMiB })
      expect(await doomed.ended).toMatchObject(death.expected)
      expect(doomed.atEnd).toEqual(['doomed'])
      driver.backend.send(sibling.id, Buffer.from('go'))
      expect(await sibling.ended).toBeUndefined()
      const next = [driver.start({ do: 'count', n: 1 }), driver.start({ do: 'count', n: 1 })]
      expect(await Promise.all(next.map((run) => run.ended))).toEqual([undefined, undefined])
    },
  )

  it('settles an invocation whose worker dies while a large payload is on its way to it', async () => {
    const driver = drive({ slots: 1, waitingSlots: 0 })
    const doomed = driver.start({ do: 'exit', n: 9 }, { body: Buffer.alloc(16 * 2 ** 20) })
    const next = driver.start({ do: 'echo' }, { body: Buffer.alloc(16 * 2 ** 20) })
    expect((await doomed.ended)?.exitCode).toBe(9)
    expect(await next.ended).toBeUndefined()
  })

  it('delivers everything said just before an exit', async () => {
    const driver = drive()
    for (let round = 0; round < 5; round++) {
      const run = driver.start({ do: 'exit', n: 1 })
      await run.ended
      expect(run.atEnd).toEqual(['doomed'])
    }
  })
}

function testStart(drive: Drive): void {
  it('sends a shared part once to a worker', async () => {
    const driver = drive({ slots: 1, waitingSlots: 0 })
    const said: (string | undefined)[] = []
    for (const shared of ['a', 'a', 'b', 'a', 'b']) {
      const run = driver.start({ do: 'env', name: 'NONE' }, { shared })
      await run.ended
      said.push(run.messages[0])
    }
    // the program numbers what it is sent
    expect(said.map((text) => text?.replace(/^.*shared:/, ''))).toEqual(['a#1', 'a#1', 'b#2', 'a#1', 'b#2'])
  })

  it('gives workers the start-up message before anything else', async () => {
    const run = drive({ startup: Buffer.from('secret 1') }).start({ do: 'env', name: 'STARTUP' })
    await run.ended
    expect(run.messages[0]).toMatch(/^secret 1 /)
  })

  it('breaks when workers cannot start: what waits ends with why, nothing more is taken', async () => {
    const driver = drive({ startup: Buffer.from('refuse') })
    const runs = [1, 2, 3, 4].map(() => driver.start({ do: 'count', n: 1 }))
    const deaths = await Promise.all(runs.map((run) => run.ended))
    for (const death of deaths) {
      expect(death).toMatchObject({ reason: 'neverStarted', exitCode: 3 })
      expect(death?.stderrTail).toContain('no such loader')
    }
    await expect(driver.invoke({ do: 'count', n: 1 })).rejects.toMatchObject({
      code: 'BROKEN_EXECUTOR',
      message: expect.stringContaining('no such loader'),
    })
  })
}

function testClosing(drive: Drive): void {
  it('ends what runs and what waits when it is closed, and takes nothing more', async () => {
    const driver = drive({ slots: 1, waitingSlots: 0 })
    const running = driver.start({ do: 'hold' })
    await driver.until(() => running.messages.length === 1)
    const queued = driver.start({ do: 'hold' })
    await driver.settle()
    await Promise.all([driver.backend.close(), driver.backend.close()])
    expect([running.ends, queued.ends]).toEqual([1, 1])
    expect([(await running.ended)?.reason, (await queued.ended)?.reason]).toEqual(['closed', 'closed'])
    await expect(driver.invoke({ do: 'hold' })).rejects.toMatchObject({ code: 'SHUTDOWN_EXECUTOR' })
  })

  it('can be closed before it was used', async () => {
    await expect(drive().backend.close()).resolves.toBeUndefined()
  })
}

interface Run {
  readonly id: number
  readonly bytes: Uint8Array[]
  readonly messages: string[]
  readonly ended: Promise<InvocationDeath | undefined>
  /** The messages there were when the end came. */
  atEnd: string[] | undefined
  ends: number
}

interface StartOptions {
  readonly body?: Uint8Array | undefined
  readonly shared?: string | undefined
  readonly memoryMiB?: number | undefined
  readonly waits?: boolean | undefined
}

/** Drives a backend and keeps what it tells. */
class Driver {
  readonly backend: ComputeBackend
  readonly #runs = new Map<number, { run: Run; end: (death: InvocationDeath | undefined) => void }>()
  readonly #watchers = new Set<() => void>()
  #next = 1

  constructor(backend: ComputeBackend) {
    this.backend = backend
    backend.listen({
      onMessage: (id, bytes) => {
        const { run } = this.#run(id)
        run.bytes.push(bytes)
        if (bytes.byteLength < 4_096) run.messages.push(Buffer.from(bytes).toString())
        this.#changed()
      },
      onEnd: (id, death) => {
        const { run, end } = this.#run(id)
        run.ends += 1
        run.atEnd ??= [...run.messages]
        end(death)
        this.#changed()
      },
    })
  }

  start(command: Command, options: StartOptions = {}): Run {
    const id = this.#next++
    let end: (death: InvocationDeath | undefined) => void = () => undefined
    const ended = new Promise<InvocationDeath | undefined>((resolve) => {
      end = resolve
    })
    const run: Run = { id, bytes: [], messages: [], ended, atEnd: undefined, ends: 0 }
    this.#runs.set(id, { run, end })
    void this.backend.invoke(this.#invocation(id, command, options))
    return run
  }

  invoke(command: Command): Promise<void> {
    return this.backend.invoke(this.#invocation(this.#next++, command, {}))
  }

  /** Resolves when the condition holds after something was told. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!condition()) return
        this.#watchers.delete(check)
        resolve()
      }
      this.#watchers.add(check)
      check()
    })
  }

  /** Lets what was accepted reach the backend. */
  settle(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve))
  }

  #invocation(id: number, command: Command, { body, shared = 'shared', memoryMiB, waits }: StartOptions): Invocation {
    const part = { id: shared, bytes: Buffer.from(shared) }
    return { id, shared: part, payload: commandPayload(command, body), memoryMiB, waits }
  }

  #run(id: number) {
    const known = this.#runs.get(id)
    if (known === undefined) throw new Error(`told of invocation ${id}, which was never started`)
    return known
  }

  #changed(): void {
    for (const check of this.#watchers) check()
  }
}

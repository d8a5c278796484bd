/** A PeriodicWorker made of objects, and shown to people. */
import { describe, expect, it } from 'vitest'
import { periodic } from '../../src/futures/periodic.ts'
import { PeriodicWorker } from '../../src/futures/periodic-worker.ts'
import { ManualClock } from '../support/manual-clock.ts'

describe('PeriodicWorker.create', () => {
  class Base {
    readonly seen: unknown[] = []
    poll(...args: unknown[]) {
      this.seen.push(['poll', ...args])
    }
    overridden() {
      this.seen.push('base')
    }
    _hidden() {
      this.seen.push('hidden')
    }
  }
  class Derived extends Base {
    override overridden() {
      this.seen.push('derived')
    }
    get lazy(): never {
      throw new Error('a getter was called')
    }
  }
  const marks = periodic({ spacing: 10 })
  marks(Base.prototype.poll)
  marks(Base.prototype.overridden)
  marks(Base.prototype._hidden)

  it('calls the periodic methods of objects on them, with the arguments', async () => {
    const clock = new ManualClock()
    const [base, derived] = [new Base(), new Derived()]
    const worker = PeriodicWorker.create([base, derived], { clock, args: [1, 'x'] })
    expect(worker.watchers.map(({ work }) => work.name)).toEqual(['overridden', 'poll', 'poll'])
    const running = worker.start()
    await clock.advance(10)
    expect([base.seen, derived.seen]).toEqual([['base', ['poll', 1, 'x']], [['poll', 1, 'x']]])
    worker.stop()
    await running
    expect(PeriodicWorker.create([base], { excludeHidden: false }).length).toBe(3)
  })
})

describe('pformat', () => {
  it('is a table of what it calls', async () => {
    const clock = new ManualClock()
    const poll = () => clock.pass(20)
    const worker = new PeriodicWorker([periodic({ spacing: 1_500 })(poll)], { clock })
    expect(worker.pformat(['Name', 'Active', 'Runs in', 'Average elapsed'])).toBe(
      [
        'Name | Active | Runs in | Average elapsed',
        '-----+--------+---------+----------------',
        'poll | no     | -       | -',
      ].join('\n'),
    )
    const running = worker.start()
    await clock.advance(2_000)
    expect(
      worker
        .pformat()
        .split('\n')[2]
        ?.split(' | ')
        .map((cell) => cell.trim()),
    ).toEqual([...['poll', 'yes', '1.5 s', '1.0 s', '1', '0', '1', 'no', '20 ms', '0 ms']])
    worker.stop()
    await running
  })

  it('refuses no column, and one that does not exist', () => {
    const worker = new PeriodicWorker()
    expect(() => worker.pformat([])).toThrow('expected one column or more')
    expect(() => worker.pformat(['Name', 'Colour' as never])).toThrow('unknown column "Colour", expected some of Name,')
  })
})

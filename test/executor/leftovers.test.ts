/** When a job that has ended is swept up after, of what, and after whom. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { JobRun } from '../../src/executor/job-run.ts'
import { Leftovers } from '../../src/executor/leftovers.ts'

let told: string[]
let letStop: () => void
let leftovers: Leftovers

beforeEach(() => {
  told = []
  const stopped = new Promise<void>((resolve) => {
    letStop = resolve
  })
  const whenStopped = () => {
    told.push('asked who still runs')
    return stopped
  }
  leftovers = new Leftovers(whenStopped, (text) => told.push(`warning: ${text}`))
})

interface Run {
  readonly attempts?: number
  /** Set for a resumed one. */
  readonly key?: string
  readonly error?: Error
  readonly concludes?: boolean
  /** What the sweeps of its journal and of its outputs do; undefined where the store has none. */
  readonly sweeps?: readonly (undefined | 'done' | Error)[]
}

/** A job of two calls that has ended. */
function runOf({ attempts = 2, key, error, concludes, sweeps: [journal, outputs] = ['done', 'done'] }: Run): JobRun {
  const sweepOf = (name: string, fate: undefined | 'done' | Error) => ({
    sweep: async () => {
      told.push(`swept ${name}`)
      if (fate instanceof Error) throw fate
    },
  })
  return {
    id: 'M000',
    ended: Promise.resolve(error),
    totals: { calls: 2, attempts },
    spec: { key },
    journal: journal === undefined ? {} : sweepOf('journal', journal),
    launched: {
      ...(outputs === undefined ? {} : sweepOf('outputs', outputs)),
      ...(concludes ? { conclude: async () => undefined } : {}),
    },
  } as unknown as JobRun
}

const SWEPT = ['asked who still runs', 'swept journal', 'swept outputs']
const FAILED = { error: new RangeError('failed') }

async function watched(run: Run): Promise<string[]> {
  leftovers.watch(runOf(run))
  letStop()
  // its end is told in a turn of its own
  await Promise.resolve()
  await leftovers.settled()
  return told
}

describe('a job that has ended', () => {
  it.each<[string, Run, boolean]>([
    ['well, each call at once', {}, false],
    ['well, a call tried again', { attempts: 3 }, true],
    ['well, resumed', { key: 'x-0-M000' }, true],
    ['badly', FAILED, true],
    ['well, and has swept before it concluded', { attempts: 3, concludes: true }, false],
    ['badly, without concluding', { ...FAILED, concludes: true }, true],
  ])('%s', async (_, run, isSwept) => {
    expect(await watched(run)).toEqual(isSwept ? SWEPT : [])
  })

  it.each<[string, Run['sweeps'], string[]]>([
    ['journal', ['done', undefined], ['swept journal']],
    ['outputs', [undefined, 'done'], ['swept outputs']],
  ])('is swept where only its %s may have something left', async (_, sweeps, swept) => {
    expect(await watched({ ...FAILED, sweeps })).toEqual(['asked who still runs', ...swept])
  })

  it('waits for nobody where no store leaves anything', async () => {
    expect(await watched({ ...FAILED, sweeps: [undefined, undefined] })).toEqual([])
  })

  it('is swept when nothing of it runs any more, and settled after that', async () => {
    leftovers.watch(runOf(FAILED))
    await Promise.resolve()
    const settled = leftovers.settled().then(() => told.push('settled'))
    await new Promise(setImmediate)
    expect(told).toEqual(SWEPT.slice(0, 1))
    letStop()
    await settled
    expect(told).toEqual([...SWEPT, 'settled'])
  })

  it('tells what cannot be removed, and removes the rest', async () => {
    const [asked, ...swept] = SWEPT
    expect(await watched({ ...FAILED, sweeps: [new RangeError('no access'), 'done'] })).toEqual([
      asked,
      swept[0],
      'warning: M000: no access',
      swept[1],
    ])
  })
})

/** The plan that `quern plan` writes is the plan that `quern run` reads: the built command line, over local files. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Plan } from '../../partitioner/index.ts'
import { buildPackage, quern, ROOT } from '../support/built-package.ts'

const WORDCOUNT = join(ROOT, 'examples/wordcount.ts')
const FILES = 40
const folder = mkdtempSync(join(tmpdir(), 'quern-cli-plan-'))
const environment = { QUERN_CONFIG: JSON.stringify({ localhost: { storage_root: join(folder, 'store') } }) }

beforeAll(async () => {
  for (let i = 0; i < FILES; i++) {
    const sub = join(folder, 'in', `d${i % 4}`)
    mkdirSync(sub, { recursive: true })
    writeFileSync(join(sub, `naïve part ${i}.log`), 'sea whale\n'.repeat(i))
  }
  await buildPackage()
}, 300_000)
afterAll(() => rmSync(folder, { recursive: true }))

it('plan --json, saved and cut down, is what run --plan runs', async () => {
  const planned = await quern(
    ['plan', '--input', join(folder, 'in/'), '--obj-chunk-size', '64', '--json'],
    ROOT,
    environment,
  )
  expect(planned).toMatchObject({ code: 0, stderr: '' })
  const plan = JSON.parse(planned.stdout) as Plan
  expect(plan.objects).toBe(FILES)
  expect(plan.partitions.length).toBeGreaterThan(FILES)

  const kept = plan.partitions.filter(({ object }) => !object.key.includes('/d3/'))
  const expected = kept.reduce((bytes, { range }) => bytes + range.end - range.start, 0) / 'sea whale\n'.length
  writeFileSync(join(folder, 'plan.json'), JSON.stringify({ ...plan, partitions: kept }))
  const ran = await quern(
    ['run', WORDCOUNT, '--plan', join(folder, 'plan.json'), '--json', '--no-progress'],
    ROOT,
    environment,
  )
  expect({ code: ran.code, counts: ran.stdout === '' ? ran.stderr : JSON.parse(ran.stdout) }).toEqual({
    code: 0,
    counts: { sea: expected, whale: expected },
  })
}, 300_000)

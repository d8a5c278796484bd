/** `quern storage` and `quern doctor` on the S3 server of this run, where there is one. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createBackends, openSections } from '../../src/backends.ts'
import type { CliContext, CliStores } from '../../src/cli/context.ts'
import { runCommandLine } from '../../src/cli/program.ts'
import { loadConfig } from '../../src/config/config.ts'
import { s3Section } from '../support/backends-under-test.ts'
import type { S3Server } from '../support/servers.ts'
import { fakeContext } from './fake-context.ts'

const server = inject('s3') as S3Server | undefined
const isThere = server !== undefined && server.kind !== 'none'

describe.skipIf(!isThere)('on a real S3 server', () => {
  const bucket = `quern-${randomBytes(6).toString('hex')}`
  const folder = mkdtempSync(path.join(tmpdir(), 'quern-storage-s3-'))

  function stores(more: Readonly<Record<string, unknown>> = {}): CliStores {
    const section = s3Section(server as S3Server, bucket)
    const config = loadConfig({ config: { aws_s3: { ...section, ...more }, minio: section } })
    return { config, ...createBackends(openSections(config.sections)) }
  }

  async function quern(args: readonly string[], more: Readonly<Record<string, unknown>> = {}) {
    const fake = fakeContext(() => ({ pid: 1, node: 'v20' }), { cwd: folder })
    const context: CliContext = { ...fake, openStores: async () => stores(more) }
    const code = await runCommandLine([...args, '--json'], '1', context)
    const lines = fake.written.stdout.split('\n').filter(Boolean)
    return { code, stderr: fake.written.stderr, lines: lines.map((line) => JSON.parse(line) as Record<string, string>) }
  }

  beforeAll(async () => {
    const { resolve, close } = stores()
    await (await resolve('aws_s3')).createBucket(bucket)
    await close()
  })
  afterAll(async () => {
    await quern(['storage', 'rm', `s3://${bucket}`, '--yes'])
    const { resolve, close } = stores()
    await (await resolve('aws_s3')).deleteBucket(bucket)
    await close()
    rmSync(folder, { recursive: true })
  })

  it('there and back, small and in parts, by two clients', async () => {
    const bytes = randomBytes((17 << 20) + 1)
    writeFileSync(path.join(folder, 'big +%é.bin'), bytes)
    writeFileSync(path.join(folder, 'empty'), '')
    expect(await quern(['storage', 'put', 'big +%é.bin', 'empty', `s3://${bucket}/p/`])).toMatchObject({ code: 0 })
    expect(await quern(['storage', 'cp', `minio://${bucket}/p/`, `s3://${bucket}/q/`])).toMatchObject({ code: 0 })
    const { lines } = await quern(['storage', 'ls', `s3://${bucket}/**/big*`])
    expect(lines.map(({ key, size }) => [key, size])).toEqual([
      ['p/big +%é.bin', bytes.length],
      ['q/big +%é.bin', bytes.length],
    ])
    expect(await quern(['storage', 'get', `s3://${bucket}/q/`, 'back'])).toMatchObject({ code: 0, stderr: '' })
    expect(readFileSync(path.join(folder, 'back/big +%é.bin')).equals(bytes)).toBe(true)
    expect(readFileSync(path.join(folder, 'back/empty'), 'utf8')).toBe('')
    expect(await quern(['storage', 'rm', `s3://${bucket}/q/`, '--yes'])).toMatchObject({ code: 0 })
    expect(await quern(['storage', 'ls', `s3://${bucket}/q/`])).toMatchObject({ code: 1 })
  })

  it('doctor: all is well, where conditions are kept', async () => {
    const { code, lines } = await quern(['doctor', `s3://${bucket}/d/`, '--write'])
    const failed = lines.filter(({ status }) => status === 'failed').map(({ step }) => step)
    const expected = server?.kind === 'fauxqs' ? ['conditional put'] : []
    expect({ code, failed }).toEqual({ code: expected.length === 0 ? 0 : 1, failed: expected })
  })

  // the embedded server believes everybody
  it.skipIf(server?.kind === 'fauxqs').each([
    ['secretAccessKey', 'credentials', 'secret key does not belong'],
    ['accessKeyId', 'credentials', 'does not know the access key'],
  ])('doctor: a wrong %s fails %s', async (setting, step, advice) => {
    const { code, lines } = await quern(['doctor', `s3://${bucket}`], { [setting]: 'wrongbutlong' })
    const failed = lines.filter(({ status }) => status === 'failed')
    expect(code).toBe(1)
    expect(failed).toMatchObject([{ step, advice: expect.stringContaining(advice) }])
    expect(JSON.stringify(lines)).not.toContain('wrongbutlong')
  })

  it('doctor: a bucket that is not there', async () => {
    const { lines } = await quern(['doctor', 's3://quern-none-such'])
    expect(lines.filter(({ status }) => status === 'failed')).toMatchObject([{ step: 'bucket' }])
  })
})

/** Results of hundreds of megabytes, and gigabytes of them, in bounded memory of the driver. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const large = process.env.QUERN_TEST_LARGE === '1'
const title = large ? 'large results' : 'large results (skipped: needs QUERN_TEST_LARGE=1, 4 GiB of memory and of disk)'
const MIB = 2 ** 20
const program = fileURLToPath(new URL('../support/large-results-program.ts', import.meta.url))

async function drive(count: number, mib: number) {
  const args = ['--expose-gc', '--import', 'tsx', program, `${count}`, `${mib}`]
  const { stdout } = await promisify(execFile)(process.execPath, args, { encoding: 'utf8' })
  return JSON.parse(stdout) as { bytes: number; right: number; same: boolean; error?: string; maxRssMiB: number }
}

describe.skipIf(!large)(title, { timeout: 600_000 }, () => {
  it('one of 300 MB arrives whole, and again when it is asked for again', async () => {
    const told = await drive(1, 300)
    expect(told).toMatchObject({ bytes: 300 * MIB, right: 1, same: true })
    // as it comes, and as it is read
    expect(told.maxRssMiB).toBeLessThan(800)
  })

  it('2.2 GB in 220 results are read one after the other within the memory of a tenth', async () => {
    const told = await drive(220, 10)
    expect(told).toMatchObject({ bytes: 2_200 * MIB, right: 220, same: true })
    expect(told.maxRssMiB).toBeLessThan(600)
  })

  it('one that is too large for any way fails its call and says what to do', async () => {
    const told = await drive(1, 1_024)
    expect(told.error).toMatch(
      /SerializationError: call M000\/00000 returned \d+ bytes, at most 1072693248 travel back: put it in a store/,
    )
  })
})

/** Executors and the program that holds them: what keeps it alive, what becomes of what it forgets. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const FUTURES = new URL('../../src/entry/futures.ts', import.meta.url).href
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Runs a program with the executors in scope; what it printed. @throws when it fails, or has not ended in 30 s */
async function run(program: string, flags: readonly string[] = []): Promise<{ stdout: string; stderr: string }> {
  const text = `import { ProcessPoolExecutor, ThreadPoolExecutor } from ${JSON.stringify(FUTURES)}\n${program}`
  const args = ['--import', 'tsx', ...flags, '--input-type=module', '-e', text]
  return promisify(execFile)(process.execPath, args, { cwd: ROOT, timeout: 30_000 })
}

describe.each(['ProcessPoolExecutor', 'ThreadPoolExecutor'])('%s', (name) => {
  it('idle workers do not keep a program alive; pending futures do', async () => {
    const { stdout, stderr } = await run(`
      const executor = new ${name}({ maxWorkers: 1 })
      await executor.submit(() => 1)
      const slow = () => new Promise((resolve) => setTimeout(() => resolve('done'), 20))
      for (let i = 0; i < 3; i++) executor.submit(slow).addDoneCallback((f) => console.log(f.snapshot().result))
    `)
    expect(stdout).toBe('done\ndone\ndone\n')
    expect(stderr).toBe('')
  })

  it('an executor that is forgotten finishes its work and frees its workers', async () => {
    const { stdout } = await run(
      `
      const { readdirSync } = await import('node:fs')
      const results = []
      let workers
      ;(() => {
        const executor = new ${name}({ maxWorkers: 1 })
        for (let i = 0; i < 3; i++) executor.submit((x) => x, i).addDoneCallback((f) => results.push(f.snapshot().result))
        executor.submit(() => process.pid).addDoneCallback((f) => { workers = f.snapshot().result })
      })()
      const count = () => process.getActiveResourcesInfo().filter((kind) => /MessagePort|Worker|Process/i.test(kind)).length
      while (results.length < 3 || workers === undefined) await new Promise((r) => setTimeout(r, 5))
      console.log(results.join())
      const alive = () => {
        if (${JSON.stringify(name)} === 'ThreadPoolExecutor') return readdirSync('/proc/self/task').length > before
        try { process.kill(workers, 0); return true } catch { return false }
      }
      let before = Infinity
      if (${JSON.stringify(name)} === 'ThreadPoolExecutor') before = readdirSync('/proc/self/task').length - 1
      for (let i = 0; i < 2000 && alive(); i++) { gc(); await new Promise((r) => setTimeout(r, 5)) }
      console.log(alive() ? 'leaked' : 'freed')
      `,
      ['--expose-gc'],
    )
    expect(stdout).toBe('0,1,2\nfreed\n')
  })

  it('nothing can be submitted once the program exits', async () => {
    const { stdout } = await run(`
      const executor = new ${name}({ maxWorkers: 1 })
      process.on('exit', () => {
        try { executor.submit(() => 1) } catch (error) { console.log(error.code) }
      })
    `)
    expect(stdout).toBe('SHUTDOWN_EXECUTOR\n')
  })

  it('a worker whose tasks leak is replaced, with one warning; nothing is lost', async () => {
    const { stdout, stderr } = await run(`
      const executor = new ${name}({ maxWorkers: 1, maxMemoryGrowth: '20MiB' })
      const leak = () => {
        const kept = (globalThis.kept ??= [])
        kept.push(Buffer.alloc(2 ** 20, 1))
        return new Promise((resolve) => setTimeout(() => resolve(kept.length), 15))
      }
      const seen = []
      for (let i = 0; i < 200; i++) seen.push(await executor.submit(leak))
      console.log(seen.filter((n) => n === 1).length > 1, seen.length)
    `)
    expect(stdout).toBe('true 200\n')
    expect(stderr.match(/memory grew by/g)).toHaveLength(1)
  })
})

/** A program with a pool, ended in the way its argument names; prints the pids of its worker and of what that started. */
import { spawn } from 'node:child_process'
import { createLocalhostCompute } from '../../src/compute/localhost.ts'
import { commandPayload } from '../conformance/compute-program.ts'

const [mode] = process.argv.slice(2)
const compute = createLocalhostCompute({
  slots: 1,
  waitingSlots: 0,
  workerEntry: new URL('../conformance/compute-worker.ts', import.meta.url),
  startup: Buffer.from('hello'),
})

compute.listen({
  onMessage: (_id, bytes) => void spoke(Buffer.from(bytes).toString()),
  onEnd: () => void ended(),
})

const command = mode === 'idle' || mode === 'close' ? 'pid' : mode === 'killed-busy' ? 'spawn-and-spin' : 'pid-and-spin'
const payload = commandPayload({ do: command })
void compute.invoke({ id: 1, shared: { id: 's', bytes: Buffer.from('s') }, payload })

async function spoke(text: string): Promise<void> {
  process.stdout.write(text)
  if (mode === 'exit-busy') process.exit(0)
  if (mode === 'unhandled') throw new Error('the driver broke, as it should')
  if (mode === 'killed-busy') await announceGuardian()
}

async function ended(): Promise<void> {
  if (mode === 'close') await compute.close()
}

/** The worker is busy for good; says so once the shell that watches over it runs. */
async function announceGuardian(): Promise<void> {
  const watching = () =>
    new Promise<boolean>((resolve) => {
      const ps = spawn('/bin/sh', [
        '-c',
        `grep -l '^PPid:.${process.pid}$' /proc/[0-9]*/status | xargs -I{} grep -h Name: {}`,
      ])
      let text = ''
      ps.stdout.on('data', (chunk) => {
        text += chunk
      })
      ps.on('close', () => resolve((text.match(/\tsh$/gm) ?? []).length > 1))
    })
  while (!(await watching()));
  process.stdout.write('guarded\n')
}

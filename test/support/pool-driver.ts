/** A program with a pool, ended in the way its argument names; prints the pids of its worker and of what that started. */
import { createLocalhostCompute } from '../../src/compute/localhost.ts'
import { type Command, commandPayload } from '../conformance/compute-program.ts'

const [mode] = process.argv.slice(2)
const compute = createLocalhostCompute({
  workers: mode?.startsWith('threads') ? 'threads' : 'processes',
  slots: 1,
  waitingSlots: 0,
  workerEntry: new URL('../conformance/compute-worker.ts', import.meta.url),
  startup: Buffer.from('hello'),
})

compute.listen({
  onMessage: (_id, bytes) => spoke(Buffer.from(bytes).toString()),
  onEnd: () => void ended(),
})

const COMMANDS: Readonly<Record<string, Command['do']>> = {
  idle: 'pid',
  close: 'pid',
  'threads-idle': 'pid',
  'killed-busy': 'spawn-and-spin',
}
const command = COMMANDS[mode ?? ''] ?? 'pid-and-spin'
const payload = commandPayload({ do: command })
void compute.invoke({ id: 1, shared: { id: 's', bytes: Buffer.from('s') }, payload })

function spoke(text: string): void {
  process.stdout.write(text)
  if (mode === 'exit-busy' || mode === 'threads-exit-busy') process.exit(0)
  if (mode === 'unhandled') throw new Error('the driver broke, as it should')
}

async function ended(): Promise<void> {
  if (mode === 'close') await compute.close()
}

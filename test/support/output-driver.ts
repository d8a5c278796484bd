/**
 * A driver that dies while it concludes: runs a job whose outputs replace others, and kills itself where it is told, before
 * or after a file of that name appears (`put`) or goes (`remove`).
 */
import fs from 'node:fs'
import { FunctionExecutor } from '../../src/entry/index.ts'

const [root = '', to = '', stage = '', at = '', when = ''] = process.argv.slice(2)

function die(path: unknown, moment: string): void {
  if (String(path).includes(at) && moment === when) process.kill(process.pid, 'SIGKILL')
}

const { renameSync, rmSync, unlinkSync } = fs
const { unlink } = fs.promises
if (stage === 'put') {
  fs.renameSync = (from, path) => {
    die(path, 'before')
    renameSync(from, path)
    die(path, 'after')
  }
} else {
  fs.rmSync = (path, options) => {
    die(path, 'before')
    rmSync(path, options)
    die(path, 'after')
  }
  fs.unlinkSync = (path) => {
    die(path, 'before')
    unlinkSync(path)
    die(path, 'after')
  }
  fs.promises.unlink = async (path) => {
    die(path, 'before')
    await unlink(path)
    die(path, 'after')
  }
}

const exec = new FunctionExecutor({
  maxWorkers: 2,
  config: { localhost: { storageRoot: root } },
  showProgressbar: false,
  logLevel: 'error',
})
process.stdout.write(`${exec.executorId}-M000`)
await exec.map((size: number) => 'n'.repeat(size), [10, 1 << 20], { output: { to, ifExists: 'replace' } })
await exec.shutdown()

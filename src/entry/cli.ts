#!/usr/bin/env node
/** The command line in a terminal: this process's streams, signals and exit code. */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { CliContext, CliExecutor } from '../cli/context.ts'
import { runCommandLine } from '../cli/program.ts'

const { stdin, stdout, stderr } = process
/** Ctrl-C, and what services and containers are stopped with. */
const END_SIGNALS = ['SIGINT', 'SIGTERM'] as const

const context: CliContext = {
  stdout,
  stderr,
  cwd: process.cwd(),
  async openExecutor(options) {
    const { FunctionExecutor } = await import('./index.ts')
    return new FunctionExecutor(options) as unknown as CliExecutor
  },
  async openStores({ configFile }) {
    const [{ createBackends, openSections }, { loadConfig }] = await Promise.all([
      import('../backends.ts'),
      import('../config/config.ts'),
    ])
    const config = loadConfig({ configFile })
    return { config, ...createBackends(openSections(config.sections)) }
  },
  ask: stdin.isTTY && stderr.isTTY ? ask : undefined,
  async inspect() {
    const { open, url, waitForDebugger } = await import('node:inspector')
    if (url() === undefined) open()
    // its port is taken, by another program that is debugged
    if (url() === undefined) open(0)
    waitForDebugger()
  },
  onInterrupt(listener) {
    let interrupts = 0
    const onSignal = () => {
      interrupts += 1
      // who asks twice does not want to wait for the workers
      if (interrupts > 1) process.exit(130)
      listener()
    }
    for (const signal of END_SIGNALS) process.on(signal, onSignal)
    return () => {
      for (const signal of END_SIGNALS) process.off(signal, onSignal)
    }
  },
}

// a reader such as `head` may leave before the end: that is no failure
stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

const code = await runCommandLine(process.argv.slice(2), packageVersion(), context)
// connections that stores keep alive must not keep the command alive
stdout.write('', () => process.exit(code))

/** One line from the terminal; Ctrl-C stays a signal, since the terminal is left as it is. */
function ask(question: string, signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: stdin, output: stderr, terminal: false })
  return new Promise((resolve) => {
    lines.once('close', () => resolve(''))
    signal.addEventListener('abort', () => lines.close(), { once: true })
    lines.question(question, (answer) => {
      resolve(answer)
      lines.close()
    })
  })
}

/** Looked up from here: the entry lies two folders deep in the sources, three in the package. */
function packageVersion(): string {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string }).version
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return 'unknown'
}

/** What every command on stores does: open them, stop at Ctrl-C, close them. */
import type { CliContext, CliStores, ExitCode } from './context.ts'

/**
 * Runs `work` with the configured stores. Its signal is aborted by Ctrl-C; then the exit code is 130, once `work` has
 * cleaned up behind itself.
 * @throws what `work` throws
 */
export async function withStores(
  flags: { readonly config?: string; readonly json?: boolean },
  context: CliContext,
  work: (stores: CliStores, signal: AbortSignal) => Promise<ExitCode>,
): Promise<ExitCode> {
  const interruption = new AbortController()
  const stopListening = context.onInterrupt(() => interruption.abort())
  const { signal } = interruption
  try {
    const stores = await context.openStores({ configFile: flags.config })
    try {
      const code = await work(stores, signal)
      return signal.aborted ? interrupted(context) : code
    } finally {
      await stores.close()
    }
  } catch (error) {
    if (!signal.aborted) throw error
    return interrupted(context)
  } finally {
    stopListening()
  }
}

function interrupted({ stderr }: CliContext): ExitCode {
  stderr.write('interrupted\n')
  return 130
}

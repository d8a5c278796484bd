/** The bar of a transfer: the one of jobs, told of objects instead of calls. Nothing at all where there is no terminal. */
import { createProgressBar } from '../report/progress-bar.ts'
import type { Output } from './context.ts'
import type { Copy, CopyListener } from './storage-copy.ts'

export interface TransferBar extends Omit<CopyListener, 'skipped'> {
  copied(copy: Copy): void
  failed(copy: Copy): void
  /** Takes the bar away. Idempotent. */
  close(): void
}

/** @param jobId what the bar is called: `get`, `put`, `cp` */
export function createTransferBar(jobId: string, stderr: Output, nowMs: () => number): TransferBar {
  const bar = createProgressBar({ stream: stderr, isTTY: true, nowMs, noun: 'object' })
  const isShown = stderr.isTTY === true
  const tell: typeof bar = Object.assign((event: Parameters<typeof bar>[0]) => (isShown ? bar(event) : undefined), {
    close: () => bar.close(),
  })
  const running = new Map<unknown, { readonly call: number; bytesRead: number }>()
  let calls = 0
  const end = (copy: Copy, outcome: 'succeeded' | 'failed') => {
    const { call, bytesRead } = running.get(copy.found) ?? { call: -1, bytesRead: 0 }
    running.delete(copy.found)
    tell({ type: 'call-ended', at: nowMs(), jobId, call, outcome, bytesRead, runMs: 0 })
  }
  tell({ type: 'job-created', at: nowMs(), jobId, kind: 'map', name: '', silent: false })
  return {
    planned: (callCount, bytes) => tell({ type: 'job-planned', at: nowMs(), jobId, callCount, bytes }),
    started(copy) {
      const call = calls++
      running.set(copy.found, { call, bytesRead: 0 })
      tell({ type: 'call-started', at: nowMs(), jobId, call })
    },
    progress(copy, bytes) {
      const known = running.get(copy.found)
      if (known === undefined) return
      known.bytesRead = bytes
      tell({ type: 'call-progress', at: nowMs(), jobId, call: known.call, bytesRead: bytes })
    },
    copied: (copy) => end(copy, 'succeeded'),
    failed: (copy) => end(copy, 'failed'),
    close: () => bar.close(),
  }
}

/**
 * The promise's outcome, or `signal`'s reason once it aborts, or `undefined` once `timeoutMs` are over. What the promise
 * stands for goes on.
 */
export function abortable<T>(
  promise: Promise<T>,
  options: { readonly signal?: AbortSignal | undefined; readonly timeoutMs: number },
): Promise<T | undefined>
export function abortable<T>(promise: Promise<T>, options: { readonly signal?: AbortSignal | undefined }): Promise<T>
export function abortable<T>(
  promise: Promise<T>,
  { signal, timeoutMs }: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number },
): Promise<T | undefined> {
  if (signal === undefined && timeoutMs === undefined) return promise
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      act()
    }
    const onAbort = () => settle(() => reject(signal?.reason))
    const onOver = () => settle(() => resolve(undefined))
    const timer = timeoutMs === undefined ? undefined : setTimeout(onOver, Math.min(timeoutMs, 2 ** 31 - 1))
    if (signal?.aborted) return onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    promise.then(
      (value) => settle(() => resolve(value)),
      (error) => settle(() => reject(error)),
    )
  })
}

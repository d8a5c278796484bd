/** References to what a module exports: the surest way for a function or reducer to travel. */
import { ValidationError } from '../core/errors.ts'
import { loadFunction } from './load-function.ts'
import { SHIPPED, type ShippedReducer } from './shipped.ts'

/**
 * A function that stands for `exportName` of the module at `url`: workers load that module, and so does this process
 * when it is called here. Give the type as a parameter: `moduleFunction<typeof import('./count.ts').count>(url, 'count')`.
 *
 * @throws ValidationError when `url` is no absolute URL
 */
export function moduleFunction<F extends (...args: never[]) => unknown>(
  url: string | URL,
  exportName: string,
): (...args: Parameters<F>) => Promise<Awaited<ReturnType<F>>> {
  const reference = checkedReference(url, exportName)
  const call = async (...args: Parameters<F>): Promise<Awaited<ReturnType<F>>> => {
    const fn = (await loadFunction({ kind: 'module', ...reference })) as F
    return (await fn(...args)) as Awaited<ReturnType<F>>
  }
  const name = exportName.split('.').at(-1)
  return Object.defineProperties(call, { [SHIPPED]: { value: reference }, name: { value: name, configurable: true } })
}

/**
 * The same reducer, marked as `exportName` of the module at `url`, with `args` what that export gives when called with
 * them: `export const total = moduleReducer(import.meta.url, 'total', { initial: …, … })`. The reducer given is not changed.
 *
 * @throws ValidationError when `url` is no absolute URL
 */
export function moduleReducer<R extends object>(
  url: string | URL,
  exportName: string,
  reducer: R,
  args?: readonly unknown[],
): R {
  const reference = checkedReference(url, exportName)
  const marked = Object.create(Object.getPrototypeOf(reducer), Object.getOwnPropertyDescriptors(reducer))
  return Object.defineProperty(marked, SHIPPED, { value: args === undefined ? reference : { ...reference, args } })
}

function checkedReference(url: string | URL, exportName: string): ShippedReducer {
  if (!URL.canParse(String(url))) {
    throw new ValidationError(`module url: expected an absolute URL such as import.meta.url, got '${url}'`)
  }
  if (typeof exportName !== 'string' || exportName === '') {
    throw new ValidationError(`export name: expected the name of an export, got ${JSON.stringify(exportName)}`)
  }
  return { url: String(url), export: exportName }
}

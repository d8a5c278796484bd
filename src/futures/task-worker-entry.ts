/** The program of an executor's workers, beside this module: TypeScript where this is, else what it was built to. */
export function taskWorkerEntry(): URL {
  const name = import.meta.url.endsWith('.ts') ? 'task-worker.ts' : 'task-worker.js'
  return new URL(`../entry/${name}`, import.meta.url)
}

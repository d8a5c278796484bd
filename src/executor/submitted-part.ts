/** A map or reduce as it was submitted → as it is launched: its function made ready to travel. */
import type { Plan } from '../../partitioner/plan.ts'
import type { Config } from '../config/config.ts'
import type { ShippedBlob, ShippedFunction } from '../functions/shipped.ts'
import type { ReduceSubmission, Submission } from './engine.ts'
import { encodeArgs, headOf, jobSettings, type Part } from './parts.ts'

/** `plan`: of the partitions the part reads. @throws SerializationError, ConfigError (esbuild is missing) */
export async function submittedPart(
  submission: Submission,
  plan: Plan | undefined,
  config: Config,
  reduce?: ReduceSubmission,
): Promise<Part> {
  const { run, settings, extraArgs } = submission
  const fn = await travelling(submission)
  const { extraEnv, splittable } = settings
  const given = { extraEnv, folds: reduce?.folds !== undefined, ...(plan && { splittable }) }
  const head = headOf(run, fn, given, plan, config)
  const form = reduce && { byKey: reduce.byKey, spawnReducer: reduce.spawnReducer, folds: reduce.folds }
  return { run, settings: jobSettings(settings), head, extraArgs: encodeArgs(extraArgs), reduce: form }
}

/** The function as it goes to the workers: with its modules, where the settings say so. */
async function travelling({ shipped, settings }: Submission): Promise<ShippedFunction | ShippedBlob> {
  const { includeModules, excludeModules = [] } = settings
  const alone = includeModules === undefined ? excludeModules.length === 0 : (includeModules?.length ?? 0) === 0
  if (alone) return shipped
  const { bundleFunction } = await import('../functions/bundle.ts')
  const { hash, bytes } = await bundleFunction(shipped, { includeModules, excludeModules })
  return { kind: 'blob', hash, bytes: Buffer.from(bytes).toString('base64') }
}

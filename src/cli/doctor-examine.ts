/** The order of `quern doctor`: configuration, client, network, access, writing, workers. What needs a failed step is skipped. */

import type { Config } from '../config/config.ts'
import { objectUrl } from '../core/cloud-object.ts'
import { formatDuration } from '../core/sizes.ts'
import type { StorageBackend } from '../storage/backend.ts'
import type { CliContext, CliStores } from './context.ts'
import type { DoctorFlags } from './doctor.ts'
import { examineNetwork, NETWORK_STEPS } from './doctor-network.ts'
import { failed, ok, type Step, Steps, secretsOf } from './doctor-steps.ts'
import { ACCESS_STEPS, examineAccess, examineObject, examineWriting, WRITE_STEPS } from './doctor-store.ts'
import { placeOf, type Target } from './doctor-target.ts'
import { askForGreeting } from './hello.ts'
import { locateStored } from './storage-references.ts'

const STORE_STEPS = ['client', ...NETWORK_STEPS, ...ACCESS_STEPS, ...WRITE_STEPS] as const

/**
 * All steps, in order, each told as it ends; undefined where Ctrl-C ended it.
 * @throws UsageError, ValidationError, ConfigError for a `url` that names no store
 */
export async function examine(
  url: string | undefined,
  flags: DoctorFlags,
  context: CliContext,
  tell: (step: Step) => void,
): Promise<readonly Step[] | undefined> {
  const located = url === undefined ? undefined : locateStored(url, context.cwd)
  const interruption = new AbortController()
  const stopListening = context.onInterrupt(() => interruption.abort())
  const steps = new Steps(tell, interruption.signal, secretsOf(undefined, process.env))
  let stores: CliStores | undefined
  try {
    await steps.run('config', async () => {
      stores = await context.openStores({ configFile: flags.config })
      steps.hide(secretsOf(stores.config, process.env))
      return ok(inWords(stores.config))
    })
    if (stores === undefined) steps.skip([...STORE_STEPS, 'compute'], 'without a configuration nothing can be tried')
    else {
      const target = placeOf(located, stores.config, process.env)
      await examineStore(steps, stores, target, flags)
      await examineCompute(steps, flags, context)
    }
    return steps.done
  } catch (error) {
    if (!interruption.signal.aborted) throw error
    context.stderr.write('interrupted\n')
    return undefined
  } finally {
    await stores?.close()
    stopListening()
  }
}

function inWords({ source, backend, storage, storageBucket, warnings }: Config): string {
  const bucket = storageBucket === undefined ? 'no bucket' : `bucket ${storageBucket}`
  return [`${source}: compute ${backend}, storage ${storage}, ${bucket}`, ...warnings].join('; ')
}

async function examineStore(steps: Steps, stores: CliStores, target: Target, flags: DoctorFlags): Promise<void> {
  const { place, endpoint, key } = target
  let store: StorageBackend | undefined
  await steps.run('client', async () => {
    store = await stores.resolve(place.backend)
    return ok(`${place.backend}${target.client === undefined ? '' : `, by ${target.client}`}`)
  })
  if (store === undefined) return steps.skip(STORE_STEPS.slice(1), 'without a client nothing can be asked')
  if (endpoint === undefined) steps.skip(NETWORK_STEPS, 'there is no network in between')
  else if (!(await examineNetwork(steps, endpoint))) {
    return steps.skip([...ACCESS_STEPS, ...WRITE_STEPS], 'the store is not reached')
  }
  if (place.backend === 'http') return examineObject(steps, store, place.bucket, key)
  if (place.bucket === '') {
    return steps.skip(
      [...ACCESS_STEPS, ...WRITE_STEPS],
      'no bucket: give a URL, or storage_bucket in the configuration',
    )
  }
  const accessible = await examineAccess(steps, store, place)
  if (!flags.write) return steps.skip(WRITE_STEPS, 'only with --write')
  // who may not list may still write
  if (accessible || steps.isOk('bucket')) return examineWriting(steps, store, place)
  steps.skip(WRITE_STEPS, `${objectUrl(place.backend, place.bucket, '')} is not accessible`)
}

async function examineCompute(steps: Steps, flags: DoctorFlags, context: CliContext): Promise<void> {
  if (!flags.compute) return steps.skip(['compute'], '--no-compute')
  await steps.run(
    'compute',
    async () => {
      const started = performance.now()
      const executor = await context.openExecutor({ configFile: flags.config, workerProcesses: 1 })
      try {
        const { pid, node } = await askForGreeting(executor)
        const took = formatDuration(performance.now() - started)
        return pid === undefined
          ? failed('the answer is not what was asked for')
          : ok(`worker ${pid} on Node ${node} answered in ${took}`)
      } finally {
        await executor.shutdown()
      }
    },
    () => 'quern hello runs the same call by itself',
  )
}

/**
 * The only file that names concrete backends. Stores are loaded when they are first needed; what a process never uses
 * it never pays for.
 */
import { resolve as resolvePath } from 'node:path'
import type { ComputeBackend } from './compute/backend.ts'
import { createInlineCompute } from './compute/inline.ts'
import { createLocalhostCompute } from './compute/localhost.ts'
import { type Config, givenPrices, loadConfig, type RetrySection, type Sections } from './config/config.ts'
import type { ExecutorSettings } from './config/options.ts'
import { Secret } from './config/secret.ts'
import { DEFAULT_RETRY, RetryBudget, type RetryPolicy } from './core/backoff.ts'
import { ConfigError } from './core/errors.ts'
import { nearestName } from './core/nearest.ts'
import type { RateLease } from './core/rate-places.ts'
import { cpuCount } from './pool/cpu-count.ts'
import type { BackendResolver, StorageBackend } from './storage/backend.ts'
import { Storage } from './storage/storage.ts'
import { encodeStartup } from './worker/startup.ts'

/** The sections with their credentials in clear: for clients and the workers' start-up channel, nowhere else. */
export type OpenSections = {
  readonly [S in keyof Sections]: {
    readonly [K in keyof Sections[S]]:
      | Exclude<Sections[S][K], Secret>
      | (Sections[S][K] extends Secret | undefined ? string : never)
  }
}

export interface Backends {
  readonly resolve: BackendResolver
  close(): Promise<void>
}

/** What an executor is made of. */
export interface Composition {
  readonly config: Config
  readonly storage: Storage
  readonly resolve: BackendResolver
  /** What the sections of some stores say their requests cost. */
  readonly prices: ReturnType<typeof givenPrices>
  createCompute(): ComputeBackend
  close(): Promise<void>
}

/** What the stores of a process have in common. */
interface Shared {
  readonly budget: RetryBudget
  /** Who gives out the rate to several processes; each learns it by itself where there is nobody. */
  readonly rates?: RateLease | undefined
  /** The process works for another, to which the stores have answered. */
  readonly reached?: boolean | undefined
}

type Loader = (sections: OpenSections, shared: Shared) => Promise<StorageBackend>

const STORES: Readonly<Record<string, Loader>> = {
  file: async () => metered(new (await import('./storage/file.ts')).FileBackend()),
  http: async ({ http }, shared) => patient(new (await import('./storage/http.ts')).HttpBackend(), shared, http?.retry),
  memory: async () => metered((await import('./storage/memory.ts')).processMemory()),
  localhost: async ({ localhost }) => {
    const { LocalhostBackend } = await import('./storage/localhost.ts')
    return metered(new LocalhostBackend({ root: localhost.storageRoot as string, fsync: localhost.fsync }))
  },
  aws_s3: async ({ aws_s3 }, shared) =>
    patient(await (await import('./storage/s3.ts')).createS3Backend(aws_s3), shared, aws_s3.retry),
  minio: async ({ minio }, shared) =>
    patient(await (await import('./storage/minio.ts')).createMinioBackend(minio), shared, minio.retry),
  gcp_storage: async ({ gcp_storage }, shared) =>
    patient(await (await import('./storage/gcs.ts')).createGcsBackend(gcp_storage), shared, gcp_storage.retry),
}

/**
 * What lies behind a network fails now and then, is slow now and then, and wants to be asked at its pace. A retry waits
 * for its place in the rate; a hedge does not, as there are few; what is counted is what is really sent.
 */
async function patient(
  backend: StorageBackend,
  { budget, rates, reached }: Shared,
  retry: RetrySection = {},
): Promise<StorageBackend> {
  const [{ withRetry }, { withLimit }, { withHedge }, { withMetering }] = await Promise.all([
    import('./storage/with-retry.ts'),
    import('./storage/with-limit.ts'),
    import('./storage/with-hedge.ts'),
    import('./storage/with-metering.ts'),
  ])
  return withRetry(withLimit(withHedge(withMetering(backend)), { lease: rates }), {
    budget,
    policy: retryPolicy(retry),
    reached,
  })
}

/** Few tries are not drawn out, and a long time at least is no more than it may be at most. */
function retryPolicy({ attempts, leastMs, mostMs }: RetrySection): RetryPolicy {
  const least = leastMs ?? (attempts === undefined ? DEFAULT_RETRY.leastMs : 0)
  const most = mostMs ?? DEFAULT_RETRY.mostMs
  return {
    ...DEFAULT_RETRY,
    ...(attempts === undefined ? {} : { attempts }),
    ...(least === undefined ? {} : { leastMs: Math.min(least, mostMs ?? least) }),
    ...(most === undefined ? {} : { mostMs: Math.max(most, leastMs ?? 0) }),
  }
}

/** What this machine or process holds only has its requests counted. */
async function metered(backend: StorageBackend): Promise<StorageBackend> {
  return (await import('./storage/with-metering.ts')).withMetering(backend)
}

/** Backends by name, each connected once. @throws ConfigError for a name nobody knows */
export function createBackends(
  sections: OpenSections,
  {
    rates,
    reached,
    workersOfProcess = 1,
  }: Omit<Shared, 'budget'> & { readonly workersOfProcess?: number | undefined } = {},
): Backends {
  const connected = new Map<string, Promise<StorageBackend>>()
  const shared = { budget: new RetryBudget({ sharers: workersOfProcess }), rates, reached }
  return {
    resolve(name) {
      const known = connected.get(name)
      if (known !== undefined) return known
      const load = STORES[name]
      if (load === undefined) return Promise.reject(unknownStore(name))
      const backend = load(sections, shared)
      connected.set(name, backend)
      return backend
    },
    async close() {
      // one that could not be connected has told whoever asked for it
      for (const backend of connected.values()) {
        await backend.then(
          (each) => each.close(),
          () => undefined,
        )
      }
      connected.clear()
    },
  }
}

/** @throws ConfigError, ValidationError */
export function compose(settings: ExecutorSettings, session: string): Composition {
  const { config: given, configFile, ...overrides } = settings
  const config = loadConfig({ config: given, configFile, overrides })
  const sections = openSections(config.sections)
  const backends = createBackends(sections)
  return {
    config,
    resolve: backends.resolve,
    prices: givenPrices(config.sections),
    storage: storageOf(config, backends.resolve, session),
    createCompute: () => createCompute(config, sections, backends.resolve),
    close: backends.close,
  }
}

/** The user's face of the configured store. */
export function storageOf(
  config: Pick<Config, 'storage' | 'storageBucket'>,
  resolve: BackendResolver,
  session: string,
): Storage {
  const { storage: backendName, storageBucket = '' } = config
  return new Storage({ backend: () => resolve(backendName), backendName, bucket: storageBucket, resolve, session })
}

/** Paths are made absolute: a worker, or a later chdir, must not mean another folder. */
export function openSections(sections: Sections): OpenSections {
  const open = Object.entries(sections).map(([name, section]) => [
    name,
    Object.fromEntries(
      Object.entries(section).map(([key, value]) => [key, value instanceof Secret ? value.reveal() : value]),
    ),
  ])
  const { localhost, gcp_storage, ...others } = Object.fromEntries(open) as OpenSections
  const { credentialsPath } = gcp_storage
  return {
    ...others,
    localhost: { ...localhost, storageRoot: resolvePath(localhost.storageRoot ?? '.quern/storage') },
    gcp_storage:
      credentialsPath === undefined ? gcp_storage : { ...gcp_storage, credentialsPath: resolvePath(credentialsPath) },
  }
}

/** Loaded with this file, unlike stores: a job's workers are to come up while its function is looked at. */
function createCompute(config: Config, sections: OpenSections, resolve: BackendResolver): ComputeBackend {
  if (config.backend === 'inline') {
    return createInlineCompute({
      run: async (...invocation) => (await import('./worker/inline-runner.ts')).inlineRunner(resolve)(...invocation),
    })
  }
  const slots = config.workers ?? cpuCount()
  return createLocalhostCompute({
    workers: config.backend === 'threads' ? 'threads' : 'processes',
    slots,
    waitingSlots: slots,
    workerEntry: workerEntry(),
    startup: encodeStartup({
      config: sections,
      cwd: process.cwd(),
      argv1: process.argv[1] ?? '',
      ...(config.backend === 'threads' ? { workersOfProcess: slots } : {}),
    }),
    memoryMiB: config.runtimeMemoryMiB,
  })
}

/** The worker's program beside this file, in whichever form this file has: sources or built. */
function workerEntry(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './entry/worker.ts' : './entry/worker.js', import.meta.url)
}

function unknownStore(name: string): ConfigError {
  const near = nearestName(name, Object.keys(STORES))
  const hint = near === undefined ? `expected one of ${Object.keys(STORES).join(', ')}` : `did you mean '${near}'?`
  return new ConfigError(`storage backend '${name}' is not in this version: ${hint}`)
}

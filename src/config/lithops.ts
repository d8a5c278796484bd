/**
 * Reads what Lithops 3 writes. Keys that mean something here keep their meaning; keys that Lithops knows and this
 * package has no use for are collected, to be named in one warning; all others are left in, for the schema to refuse.
 * Source: the configuration templates of Lithops 3.7.
 */
import { isRecord } from '../core/fields.ts'

const TOP = (
  'data_cleaner monitoring_interval include_modules exclude_modules retries log_format log_stream log_filename ' +
  'telemetry customized_runtime rabbitmq_monitor runtime_timeout storage_bucket worker_processes'
).split(' ')

const S3 = ['runtime', 'account_id', 'private_endpoint', 'public_endpoint']

const KEYS: Readonly<Record<string, readonly string[]>> = {
  localhost: ['runtime', 'version', 'runtime_timeout', 'invoke_pool_threads'],
  aws_s3: S3,
  minio: [...S3, 'config_profile'],
  gcp_storage: ['service_account'],
  aws: ['account_id'],
  gcp: ['service_account'],
}

/** Sections of Lithops for which nothing exists here. */
const SECTIONS: ReadonlySet<string> = new Set(
  (
    'aws_lambda aws_batch aws_ec2 gcp_functions gcp_cloudrun gcp_compute_engine azure azure_functions ' +
    'azure_containers azure_storage azure_vms ibm ibm_cos ibm_cf ibm_vpc code_engine k8s knative openwhisk aliyun ' +
    'aliyun_fc aliyun_oss oracle oracle_f oracle_oss singularity one vm standalone serverless rabbitmq prometheus ' +
    'redis ceph swift infinispan infinispan_hotrod plots'
  ).split(' '),
)

/** Backends that only Lithops has, as names for a clear refusal. */
export function isLithopsName(name: string): boolean {
  return SECTIONS.has(name)
}

/** The file without what has no meaning here, and the names (`lithops.telemetry`, `aws_lambda`) of what was left out. */
export function withoutLithopsOnly(file: Readonly<Record<string, unknown>>): {
  readonly rest: Record<string, unknown>
  readonly ignored: readonly string[]
} {
  const ignored: string[] = []
  const rest: Record<string, unknown> = {}
  for (const [section, value] of Object.entries(file)) {
    if (SECTIONS.has(section)) {
      ignored.push(section)
      continue
    }
    const known = section === 'lithops' ? TOP : (KEYS[section] ?? [])
    rest[section] = isRecord(value) ? without(value, (key) => isIgnored(section, key, value[key], known)) : value
    if (isRecord(value)) {
      ignored.push(
        ...Object.keys(value)
          .filter((key) => !(key in (rest[section] as object)))
          .map((k) => `${section}.${k}`),
      )
    }
  }
  return { rest, ignored }
}

/** Its monitors poll or need a broker; here ends are pushed, whichever of them is named. */
function isIgnored(section: string, key: string, value: unknown, known: readonly string[]): boolean {
  if (known.includes(key)) return true
  return section === 'lithops' && key === 'monitoring' && (value === 'storage' || value === 'rabbitmq')
}

function without(record: Readonly<Record<string, unknown>>, drop: (key: string) => boolean): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([key]) => !drop(key)))
}

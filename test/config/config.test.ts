import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { loadConfig, redact } from '../../src/config/config.ts'
import { Secret } from '../../src/config/secret.ts'
import type { SourceOptions } from '../../src/config/source.ts'
import { ConfigError } from '../../src/core/errors.ts'

const HOME = '/home/ada'
const CWD = '/work/project/deep'

function load(files: Record<string, string> = {}, options: Partial<SourceOptions> & { overrides?: object } = {}) {
  return loadConfig({ env: {}, cwd: CWD, home: HOME, readFile: (path) => files[path], ...options })
}

function messageOf(config: unknown, overrides?: object): string {
  try {
    load({}, { config: config as Record<string, unknown>, ...(overrides && { overrides }) })
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as Error).message
  }
  throw new Error('expected a ConfigError')
}

describe('loadConfig: where it comes from', () => {
  const everywhere = {
    '/named.yaml': 'quern: { log_level: debug }',
    '/from-env.yaml': 'quern: { log_level: debug }',
    [`${CWD}/.quern/config.yaml`]: 'quern: { log_level: debug }',
    '/work/.quern/config.yaml': 'quern: { log_level: debug }',
    [`${HOME}/.quern/config.yaml`]: 'quern: { log_level: debug }',
  }
  const env = { QUERN_CONFIG: '{"quern": {"log_level": "debug"}}', QUERN_CONFIG_FILE: '/from-env.yaml' }
  const without = (...paths: string[]) =>
    Object.fromEntries(Object.entries(everywhere).filter(([path]) => !paths.includes(path)))

  it.each([
    ['the constructor config', everywhere, { config: {}, configFile: '/named.yaml', env }, 'config'],
    ['configFile', everywhere, { configFile: '/named.yaml', env }, '/named.yaml'],
    ['QUERN_CONFIG', everywhere, { env }, 'QUERN_CONFIG'],
    ['QUERN_CONFIG_FILE', everywhere, { env: { QUERN_CONFIG_FILE: '/from-env.yaml' } }, '/from-env.yaml'],
    ['the working directory', everywhere, {}, `${CWD}/.quern/config.yaml`],
    ['a folder above', without(`${CWD}/.quern/config.yaml`), {}, '/work/.quern/config.yaml'],
    [
      'the home directory',
      without(`${CWD}/.quern/config.yaml`, '/work/.quern/config.yaml'),
      {},
      `${HOME}/.quern/config.yaml`,
    ],
    ['nothing', {}, {}, 'defaults'],
  ])('%s comes next', (_, files, options, source) => {
    expect(load(files, options).source).toBe(source)
  })

  it('a file that was named and is missing is an error that names it', () => {
    expect(() => load({}, { configFile: 'here.yaml' })).toThrow(`configFile: no such file: ${CWD}/here.yaml`)
    expect(() => load({}, { env: { QUERN_CONFIG_FILE: '/x.yaml' } })).toThrow(
      'QUERN_CONFIG_FILE: no such file: /x.yaml',
    )
  })

  it('YAML and JSON are read, inline and from files', () => {
    expect(load({}, { env: { QUERN_CONFIG: 'quern:\n  storage: memory\n' } }).storage).toBe('memory')
    expect(load({ '/c.json': '{"quern":{"storage":"memory"}}' }, { configFile: '/c.json' }).storage).toBe('memory')
  })

  it('an error in the text tells where, and quotes nothing of it', () => {
    const yaml = 'aws_s3:\n  secret_access_key: "hunter2\n'
    const json = '{"aws_s3": {"secret_access_key": hunter2}}'
    for (const text of [yaml, json]) {
      let error: unknown
      try {
        load({ '/c': text }, { configFile: '/c' })
      } catch (thrown) {
        error = thrown
      }
      expect(error).toBeInstanceOf(ConfigError)
      expect((error as Error).message).toMatch(/^\/c: (not valid YAML, line \d|begins with '\{' but is not valid JSON)/)
      expect(inspect(error)).not.toContain('hunter2')
    }
  })
})

describe('loadConfig: what it says', () => {
  it('is localhost without any', () => {
    expect(load()).toEqual({
      source: 'defaults',
      backend: 'localhost',
      mode: 'localhost',
      monitoring: 'channel',
      storage: 'localhost',
      storageBucket: 'quern',
      logLevel: 'info',
      sections: { localhost: {}, memory: {}, aws_s3: {}, minio: {}, gcp_storage: {}, http: {} },
      warnings: [],
    })
  })

  it('takes snake_case and camelCase, and counts workers as Lithops does', () => {
    const snake = { quern: { log_level: 'WARNING' }, localhost: { worker_processes: 2, max_workers: 3 } }
    const camel = { quern: { logLevel: 'warn' }, localhost: { workerProcesses: 6 } }
    for (const config of [snake, camel]) expect(load({}, { config })).toMatchObject({ logLevel: 'warn', workers: 6 })
  })

  it('backend wins over mode', () => {
    const config = (quern: object) => load({}, { config: { quern } }).backend
    expect(config({ backend: 'inline', mode: 'localhost' })).toBe('inline')
    expect(config({ backend: 'inline', mode: 'serverless' })).toBe('inline')
    expect(config({ mode: 'localhost' })).toBe('localhost')
  })

  it('the constructor wins over the file', () => {
    const config = { quern: { storage: 'memory', log_level: 'info' }, localhost: { worker_processes: 8 } }
    const overrides = { storage: 'localhost', logLevel: 'debug', mode: undefined, section: { workerProcesses: 1 } }
    const loaded = load({}, { config, overrides })
    expect(loaded).toMatchObject({ storage: 'localhost', logLevel: 'debug', workers: 1 })
  })

  it('units: milliseconds and bytes, or text', () => {
    const config = { quern: { execution_timeout: '5 min', data_limit: '4MiB' } }
    expect(load({}, { config })).toMatchObject({ timeoutMs: 300_000, dataLimitBytes: 4 * 2 ** 20 })
    expect(load({}, { config: { quern: { execution_timeout: 250, data_limit: false } } })).toMatchObject({
      timeoutMs: 250,
      dataLimitBytes: Number.POSITIVE_INFINITY,
    })
  })

  it('an S3 section with a cloud section beside it', () => {
    const config = {
      quern: { storage: 'aws_s3' },
      aws: { access_key_id: 'shared', secret_access_key: 'shared', region: 'eu-west-1' },
      aws_s3: { secret_access_key: 'own', storage_bucket: 'jobs', endpoint: 'http://127.0.0.1:9000' },
    }
    const { sections, storageBucket } = load({}, { config })
    expect(storageBucket).toBe('jobs')
    expect(sections.aws_s3).toMatchObject({ region: 'eu-west-1', endpoint: 'http://127.0.0.1:9000' })
    expect(sections.aws_s3.accessKeyId?.reveal()).toBe('shared')
    expect(sections.aws_s3.secretAccessKey?.reveal()).toBe('own')
  })

  it.each([
    [{ quern: { storag: 'memory' } }, "config: quern.storag: unknown key, did you mean 'storage'?"],
    [
      { localhost: { worker_proceses: 2 } },
      "config: localhost.worker_proceses: unknown key, did you mean 'worker_processes'?",
    ],
    [
      { localhost: { workerProceses: 2 } },
      "config: localhost.workerProceses: unknown key, did you mean 'workerProcesses'?",
    ],
    [
      { localhost: { worker_processes: '2' } },
      'config: localhost.worker_processes: expected a whole number from 1, got "2"',
    ],
    [{ aws_s33: {} }, "config: unknown section 'aws_s33', did you mean 'aws_s3'?"],
    [{ quern: { telemetry: true } }, 'config: quern.telemetry: unknown key, expected one of'],
    [{ quern: { storage: 'aws-s3' } }, "config: storage: unknown backend 'aws-s3', did you mean 'aws_s3'?"],
    [{ quern: { backend: 'aws_lambda' } }, "config: backend: 'aws_lambda' of Lithops is not available in this version"],
    [{ quern: { mode: 'serverless' } }, "config: mode 'serverless' has no compute backend in this version"],
    [{ quern: { log_level: 'loud' } }, `config: quern.log_level: expected one of 'silent', 'error'`],
    [{ quern: [] }, 'config: quern: expected an object, got a list of 0'],
    [{ quern: {}, lithops: {} }, "config: has both a 'quern' and a 'lithops' section"],
  ])('%j is refused', (config, message) => {
    expect(messageOf(config)).toContain(message)
  })
})

describe('loadConfig: a Lithops file', () => {
  const FILE = `
lithops:
  backend: localhost
  storage: aws_s3
  monitoring: rabbitmq
  monitoring_interval: 2
  execution_timeout: 1800
  data_limit: 4
  log_level: WARNING
  telemetry: false
aws:
  access_key_id: AKIAEXAMPLE
  secret_access_key: sesame
  account_id: 1234
aws_s3:
  storage_bucket: lithops-data
  region: us-east-1
localhost:
  runtime: python3
  worker_processes: 4
aws_lambda:
  execution_role: arn:aws:iam::1234:role/lithops
rabbitmq:
  amqp_url: amqp://user:password@host
`
  it('loads, in the units of Lithops, and names what has no meaning in one warning', () => {
    const config = load({ '/l': FILE }, { configFile: '/l' })
    expect(config).toMatchObject({
      storage: 'aws_s3',
      storageBucket: 'lithops-data',
      timeoutMs: 1_800_000,
      dataLimitBytes: 4 * 2 ** 20,
      logLevel: 'warn',
      workers: 4,
    })
    expect(config.warnings).toEqual([
      '/l: these settings of Lithops have no meaning here and are ignored: lithops.monitoring, ' +
        'lithops.monitoring_interval, lithops.telemetry, aws.account_id, localhost.runtime, aws_lambda, rabbitmq',
    ])
  })

  it('a key that Lithops does not know either is refused', () => {
    expect(messageOf({ lithops: { storage_backnd: 'x' } })).toContain('lithops.storage_backnd: unknown key')
  })

  it('a compute backend of Lithops is refused unless the constructor names another', () => {
    const config = { lithops: { backend: 'aws_lambda' } }
    expect(messageOf(config)).toContain("'aws_lambda' of Lithops is not available")
    expect(load({}, { config, overrides: { backend: 'localhost' } }).backend).toBe('localhost')
  })
})

describe('the stores of clouds', () => {
  it('take the keys of Lithops, and what it has no keys for', () => {
    const { sections, warnings } = load(
      {},
      {
        config: {
          lithops: { storage: 'minio' },
          aws: { config_profile: 'work' },
          aws_s3: { requester_pays: true, sse: 'aws:kms', sse_kms_key_id: 'k', sse_customer_key: 'c' },
          minio: { endpoint: 'http://127.0.0.1:9000', access_key_id: 'a', secret_access_key: 's', storage_bucket: 'b' },
          gcp: { credentials_path: '/key.json', project_name: 'p', region: 'europe-west1' },
        },
      },
    )
    expect(warnings).toEqual([])
    expect(sections.aws_s3).toMatchObject({ profile: 'work', requesterPays: true, sse: 'aws:kms', sseKmsKeyId: 'k' })
    expect(sections.aws_s3.sseCustomerKey?.reveal()).toBe('c')
    expect(sections.minio).toMatchObject({ endpoint: 'http://127.0.0.1:9000', storageBucket: 'b' })
    expect(sections.gcp_storage).toEqual({ credentialsPath: '/key.json', projectName: 'p', region: 'europe-west1' })
  })

  it.each([
    [{ minio: { sse: 'AES256' } }, 'minio.sse: unknown key'],
    [{ minio: { profile: 'p' } }, 'minio.profile: unknown key'],
    [{ aws_s3: { sse: 'aws' } }, "expected one of 'AES256', 'aws:kms', 'aws:kms:dsse', got \"aws\""],
  ])('%j is refused', (config, message) => {
    expect(messageOf(config)).toContain(message)
  })
})

describe('secrets', () => {
  const section = { access_key_id: 'AKIA-hunter2', secret_access_key: 'hunter2', session_token: 'token-hunter2' }
  const encrypted = { ...section, sse_customer_key: 'key-hunter2' }

  it('no print of a configuration shows one', () => {
    const config = load({}, { config: { aws_s3: encrypted, minio: section } })
    for (const print of [
      JSON.stringify(config),
      inspect(config, { depth: 9, showHidden: true }),
      `${redact(config)}`,
    ]) {
      expect(print).not.toContain('hunter2')
    }
    expect(JSON.stringify(redact(config))).toContain('"secretAccessKey":"***"')
    expect(config.sections.aws_s3.secretAccessKey?.reveal()).toBe('hunter2')
    expect(`${new Secret('hunter2')}`).toBe('***')
  })

  it.each([
    { aws_s3: { secret_acess_key: 'hunter2' } },
    { aws_s3: { secret_access_key: ['hunter2'] } },
    { aws_s3: { endpoint: 'http://me:hunter2@host' } },
  ])('no error shows one: %#', (config) => {
    expect(messageOf(config)).not.toContain('hunter2')
  })

  it('a key that YAML reads as a number is refused: digits could be lost', () => {
    const text = 'aws_s3: { secret_access_key: 12345678901234567890 }'
    expect(() => load({}, { env: { QUERN_CONFIG: text } })).toThrow('expected text (in quotes')
  })
})

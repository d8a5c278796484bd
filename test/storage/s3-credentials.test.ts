/** Where the S3 backend has its credentials from: what it signs with, recorded by a loopback server. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import type { S3Config } from '../../src/storage/s3-client.ts'
import { KEYS, recordedS3, scopeOf } from '../support/recorded-s3.ts'
import { type Recorded, startRecordingServer } from '../support/recording-server.ts'

const s3 = recordedS3()
const { open } = s3

describe('credentials that are not given', () => {
  const chain = { accessKeyId: undefined, secretAccessKey: undefined, region: undefined }
  const signer = async (config: S3Config = chain) => {
    await (await open({ ...chain, ...config })).head('b', 'k')
    const request = s3.server.requests.at(-1) as Recorded
    return { key: scopeOf(request)[0], region: scopeOf(request)[2], token: request.headers['x-amz-security-token'] }
  }

  it('are those of the environment, with their region', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIAENV')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 's')
    vi.stubEnv('AWS_SESSION_TOKEN', 'token')
    expect(await signer()).toEqual({ key: 'AKIAENV', region: 'us-east-1', token: 'token' })
    vi.stubEnv('AWS_REGION', 'eu-central-1')
    expect(await signer()).toMatchObject({ region: 'eu-central-1' })
    expect(await signer({ region: 'sa-east-1' })).toMatchObject({ region: 'sa-east-1' })
  })

  it('are those of a profile', async () => {
    // files are read once in a process, by their names
    vi.stubEnv('AWS_CONFIG_FILE', join(s3.folder, 'profiles'))
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(s3.folder, 'keys'))
    writeFileSync(join(s3.folder, 'profiles'), '[profile work]\nregion = eu-north-1\n')
    writeFileSync(join(s3.folder, 'keys'), '[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = s\n')
    expect(await signer({ profile: 'work' })).toMatchObject({ key: 'AKIAWORK', region: 'eu-north-1' })
    vi.stubEnv('AWS_PROFILE', 'work')
    expect(await signer()).toMatchObject({ key: 'AKIAWORK', region: 'eu-north-1' })
  })

  it("are a container's", async () => {
    const metadata = await startRecordingServer()
    const Expiration = new Date(Date.now() + 3_600_000).toISOString()
    const body = JSON.stringify({ AccessKeyId: 'AKIABOX', SecretAccessKey: 's', Token: 'boxed', Expiration })
    metadata.answer = () => ({ status: 200, headers: { 'content-type': 'application/json' }, body })
    vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `${metadata.endpoint}/credentials`)
    expect(await signer()).toMatchObject({ key: 'AKIABOX', token: 'boxed' })
    await metadata.close()
  })

  it("are a role's, by web identity", async () => {
    const sts = await startRecordingServer()
    const expiration = new Date(Date.now() + 3_600_000).toISOString()
    const role = `<AccessKeyId>AKIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>role</SessionToken>`
    const credentials = `<Credentials>${role}<Expiration>${expiration}</Expiration></Credentials>`
    const result = `<AssumeRoleWithWebIdentityResult>${credentials}</AssumeRoleWithWebIdentityResult>`
    const body = `<AssumeRoleWithWebIdentityResponse xmlns="x">${result}</AssumeRoleWithWebIdentityResponse>`
    sts.answer = () => ({ status: 200, headers: { 'content-type': 'text/xml' }, body })
    writeFileSync(join(s3.folder, 'token'), 'the token')
    vi.stubEnv('AWS_WEB_IDENTITY_TOKEN_FILE', join(s3.folder, 'token'))
    vi.stubEnv('AWS_ROLE_ARN', 'arn:aws:iam::1:role/r')
    vi.stubEnv('AWS_ENDPOINT_URL_STS', sts.endpoint)
    vi.stubEnv('AWS_REGION', 'eu-central-1')
    expect(await signer()).toMatchObject({ key: 'AKIAROLE', token: 'role' })
    expect(sts.requests.map(({ body: sent }) => new URLSearchParams(sent.toString()).get('WebIdentityToken'))).toEqual([
      'the token',
    ])
    await sts.close()
  })

  it('are missed by name', async () => {
    const backend = await open({ ...chain, region: 'us-east-1' })
    await expect(backend.head('b', 'k')).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    expect(s3.server.requests).toEqual([])
  })

  it('a given session token goes with its keys', async () => {
    expect(await signer({ ...KEYS, sessionToken: 'short' })).toMatchObject({ key: 'AKIA1', token: 'short' })
  })
})

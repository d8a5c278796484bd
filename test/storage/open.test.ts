import { describe, expect, it } from 'vitest'
import { Storage } from '../../src/entry/storage.ts'
import { loadPeer } from '../../src/storage/peer.ts'

describe('Storage.open', () => {
  it.each([
    ['s3://b', 'aws_s3', 'b'],
    ['minio://b/', 'minio', 'b'],
    ['gs://b', 'gcp_storage', 'b'],
    ['localhost://b', 'localhost', 'b'],
    ['memory://b', 'memory', 'b'],
  ])('%s is a store of %s', (url, backendName, bucket) => {
    expect(Storage.open(url)).toMatchObject({ backendName, bucket })
  })

  it('takes the settings of a section, and refuses what the section has not', () => {
    const store = { backend: 'minio', bucket: 'b', endpoint: 'http://127.0.0.1:9000' }
    expect(Storage.open(store)).toMatchObject({ backendName: 'minio', bucket: 'b' })
    expect(() => Storage.open({ ...store, requesterPays: true })).toThrow('minio.requesterPays: unknown key')
    expect(() => Storage.open('ftp://b')).toThrow('minio://, gs://')
  })
})

describe('a client library', () => {
  const failing = (code: string, message: string) => () => Promise.reject(Object.assign(new Error(message), { code }))

  it('that is not installed is named, with how to install it', async () => {
    const load = failing('ERR_MODULE_NOT_FOUND', "Cannot find package 'minio' imported from x")
    const message = 'the minio backend needs minio: npm install minio'
    await expect(loadPeer('minio', 'minio', load)).rejects.toMatchObject({ code: 'CONFIG', message })
  })

  it.each([
    ['lacks something itself', failing('ERR_MODULE_NOT_FOUND', "Cannot find package 'lodash' imported from minio")],
    ['breaks while it loads', failing('ERR_INTERNAL', "in 'minio'")],
  ])('that %s says so itself', async (_, load) => {
    await expect(loadPeer('minio', 'minio', load)).rejects.not.toMatchObject({ code: 'CONFIG' })
  })

  it('is given as it is', async () => {
    expect(await loadPeer('x', 'x', async () => 7)).toBe(7)
  })
})

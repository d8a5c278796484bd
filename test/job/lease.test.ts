import { hostname } from 'node:os'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { StorageError } from '../../src/core/errors.ts'
import { driverFile } from '../../src/job/keys.ts'
import { DriverLease, type DriverVersion, FIRST, isDriven, LEASE_MS, readDriver } from '../../src/job/lease.ts'
import type { JournalPlace } from '../../src/job/place.ts'
import { layered } from '../../src/storage/layer.ts'
import type { MemoryBackend } from '../../src/storage/memory.ts'
import { emptyPlace } from '../support/journal-in-memory.ts'

let memory: MemoryBackend
let place: JournalPlace

beforeEach(async () => {
  ;({ memory, place } = await emptyPlace())
})

async function current(): Promise<DriverVersion> {
  return (await readDriver(place, 'j')) as DriverVersion
}

async function made(nowMs = 0): Promise<DriverLease> {
  return (await DriverLease.create(place, 'j', nowMs)) as DriverLease
}

describe('the lease of a driver', () => {
  it('is made once', async () => {
    const lease = await made(5)
    expect(lease).toMatchObject({ epoch: 1, held: true })
    expect((await current()).record).toMatchObject({ epoch: 1, renewedAt: 5, pid: process.pid, host: hostname() })
    expect(await DriverLease.create(place, 'j', 6)).toBeUndefined()
  })

  it('is renewed and ended by its holder', async () => {
    const lease = await made()
    expect(await Promise.all([lease.renew(10), lease.renew(20)])).toEqual([true, true])
    expect((await current()).record).toMatchObject({ renewedAt: 20 })
    expect(await lease.end('failed', 30, 'why')).toBe(true)
    expect((await current()).record.ended).toEqual({ state: 'failed', at: 30, error: 'why' })
    await lease.renew(40)
    expect((await current()).record).toMatchObject({ renewedAt: 40, ended: { state: 'failed' } })
  })

  it('is written with one put each time, and never twice the same', async () => {
    let puts = 0
    const counting = layered(memory, {
      put: (...request) => {
        puts += 1
        return memory.put(...request)
      },
    })
    const lease = (await DriverLease.create({ backend: counting, bucket: 'b' }, 'j', 5)) as DriverLease
    const nonces = new Set([(await current()).record.nonce])
    for (let written = 2; written < 5; written++) {
      expect(await lease.renew(5)).toBe(true)
      expect(nonces.add((await current()).record.nonce).size).toBe(written)
    }
    expect(puts).toBe(4)
  })

  it('that the store refuses to replace, though nobody has, is not held', async () => {
    const lease = await made()
    const refuse = vi.spyOn(memory, 'put')
    refuse.mockRejectedValueOnce(new StorageError('PRECONDITION_FAILED', 'no', { backend: 'memory', operation: 'put' }))
    expect(await lease.renew(10)).toBe(false)
    expect(lease.held).toBe(false)
    expect(refuse).toHaveBeenCalledTimes(1)
  })

  it('that was taken can neither be renewed nor ended, and is not held from then on', async () => {
    const lease = await made()
    const taken = await DriverLease.take(place, 'j', await current(), { code: 1, replan: 2 }, 10)
    expect(taken).toMatchObject({ epoch: 2, held: true })
    const before = await current()
    expect(before.record).toMatchObject({ code: 1, replan: 2 })
    expect(await lease.renew(20)).toBe(false)
    expect(lease.held).toBe(false)
    expect(await lease.end('succeeded', 30)).toBe(false)
    expect(await current()).toEqual(before)
    expect(await taken?.renew(40)).toBe(true)
  })

  it('is taken although its driver renewed or ended it meanwhile', async () => {
    const lease = await made()
    const before = await current()
    await lease.renew(10)
    expect(await DriverLease.take(place, 'j', before, FIRST, 20)).toMatchObject({ epoch: 2 })
    const second = await current()
    const other = (await DriverLease.take(place, 'j', second, FIRST, 30)) as DriverLease
    await other.end('failed', 40)
    expect(await DriverLease.take(place, 'j', second, FIRST, 50)).toBeUndefined()
  })

  it('that was removed with its job is not held, and leaves alone what has its name later', async () => {
    const lease = await made()
    await memory.delete('b', [driverFile('j')])
    expect(await lease.renew(10)).toBe(false)
    expect(await readDriver(place, 'j')).toBeUndefined()
    const other = await made(20)
    expect(await lease.end('failed', 30)).toBe(false)
    expect((await current()).record.renewedAt).toBe(20)
    expect(await other.renew(40)).toBe(true)
  })

  it('is taken by one of many at once: 300 rounds', async () => {
    await made()
    for (let round = 0; round < 300; round++) {
      const version = await current()
      const takes = Array.from({ length: 3 }, () => DriverLease.take(place, 'j', version, FIRST, round))
      const won = (await Promise.all(takes)).filter((lease) => lease !== undefined)
      expect(won).toHaveLength(1)
      expect((await current()).record.epoch).toBe(round + 2)
    }
  })

  it.each(['done', 'not done'])('a renewal whose answer is lost (%s) is no lost lease', async (fate) => {
    const lost = { left: 0 }
    const flaky = layered(memory, {
      async put(bucket, key, body, options) {
        if (lost.left-- <= 0) return memory.put(bucket, key, body, options)
        if (fate === 'done') await memory.put(bucket, key, body, options)
        throw new StorageError('UNAVAILABLE', 'reset', { backend: 'memory', operation: 'put' })
      },
    })
    const lease = (await DriverLease.create({ backend: flaky, bucket: 'b' }, 'j', 0)) as DriverLease
    lost.left = 1
    expect(await lease.renew(10)).toBe(true)
    expect(await lease.renew(20)).toBe(true)
    expect((await current()).record.renewedAt).toBe(20)
  })

  it.each([
    ['held', false],
    ['lost, where another driver was faster', true],
  ])('a renewal that was given up and is done late leaves it %s', async (_, isTaken) => {
    let late: (() => Promise<unknown>) | undefined
    let slow = false
    const flaky = layered(memory, {
      async put(bucket, key, body, options) {
        if (!slow) return memory.put(bucket, key, body, options)
        late = () => memory.put(bucket, key, body, options)
        throw new StorageError('PERMISSION_DENIED', 'given up', { backend: 'memory', operation: 'put' })
      },
    })
    const lease = (await DriverLease.create({ backend: flaky, bucket: 'b' }, 'j', 0)) as DriverLease
    slow = true
    await expect(lease.renew(10)).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    slow = false
    await late?.()
    if (isTaken) await DriverLease.take(place, 'j', await current(), FIRST, 15)
    expect(await lease.renew(20)).toBe(!isTaken)
    expect(await lease.end('succeeded', 30)).toBe(!isTaken)
    expect((await current()).record).toMatchObject(isTaken ? { epoch: 2, renewedAt: 15 } : { epoch: 1, renewedAt: 30 })
  })

  it('one failed renewal does not end it', async () => {
    let broken = false
    const flaky = layered(memory, {
      put: (...request) =>
        broken
          ? Promise.reject(new StorageError('PERMISSION_DENIED', 'no', { backend: 'memory', operation: 'put' }))
          : memory.put(...request),
    })
    const lease = (await DriverLease.create({ backend: flaky, bucket: 'b' }, 'j', 0)) as DriverLease
    broken = true
    await expect(lease.renew(10)).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    broken = false
    expect(lease.held).toBe(true)
    expect(await lease.renew(20)).toBe(true)
  })
})

describe('whether a job is driven', () => {
  const record = { version: 1, epoch: 1, nonce: '', host: hostname(), pid: 7, renewedAt: 100, ...FIRST } as const
  const ended = { state: 'succeeded', at: 1 } as const

  it.each([
    ['just renewed', record, 100, true, true],
    ['at the end of its time', record, 100 + LEASE_MS, true, false],
    ['just before', record, 99 + LEASE_MS, true, true],
    ['its process is gone', record, 100, false, false],
    ['on another host, whose processes are not known', { ...record, host: 'other' }, 100, false, true],
    ['ended', { ...record, ended }, 100, true, false],
  ])('%s', (_, driver, nowMs, runs, driven) => {
    expect(isDriven(driver, nowMs, (pid) => runs && pid === 7)).toBe(driven)
  })
})

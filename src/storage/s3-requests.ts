/** The requests of a put as commands of the AWS SDK; each maps its errors. */
import type { CompletedPart, S3Client } from '@aws-sdk/client-s3'
import type { StorageContext } from '../core/errors.ts'
import type { ObjectHead, PutOptions } from './backend.ts'
import type { S3Clients } from './s3-client.ts'
import { type S3Condition, s3Error } from './s3-errors.ts'
import type { PutRequests } from './s3-put.ts'

type Signal = AbortSignal | undefined
type How = { abortSignal?: AbortSignal }

export interface S3Target {
  readonly clients: S3Clients
  readonly bucket: string
  readonly key: string
  readonly context: StorageContext
  head(): Promise<ObjectHead>
}

/** Puts to one key, through the SDK. */
export function s3PutRequests(target: S3Target): PutRequests<CompletedPart> {
  const { clients, bucket, key, context } = target
  const { sdk } = clients
  const object = { Bucket: bucket, Key: key, ...clients.payer }
  const send = async <T>(
    request: (client: S3Client, how: How) => Promise<T>,
    signal: Signal,
    condition?: S3Condition,
  ): Promise<T> => {
    const how = signal === undefined ? {} : { abortSignal: signal }
    try {
      return await clients.send(bucket, (client) => request(client, how))
    } catch (error) {
      throw s3Error(error, context, { condition, signal })
    }
  }
  const upload = (uploadId: string) => ({ ...object, UploadId: uploadId })
  return {
    key,
    context,
    head: target.head,
    async putWhole(bytes, options) {
      const { ifAbsent, ifMatch, signal } = options
      const input = {
        ...object,
        ...clients.encryption,
        ...typeOf(options),
        Body: bytes,
        ContentLength: bytes.length,
        ...(ifAbsent === true ? { IfNoneMatch: '*' } : {}),
        ...(ifMatch === undefined ? {} : { IfMatch: ifMatch }),
      }
      const condition = ifMatch !== undefined ? 'putIfMatch' : ifAbsent === true ? 'putIfAbsent' : undefined
      const put = (client: S3Client, how: How) => client.send(new sdk.PutObjectCommand(input), how)
      return (await send(put, signal, condition)).ETag ?? ''
    },
    async begin(options) {
      const input = { ...object, ...clients.encryption, ...clients.partChecksums, ...typeOf(options) }
      const begin = (client: S3Client, how: How) => client.send(new sdk.CreateMultipartUploadCommand(input), how)
      return (await send(begin, options.signal)).UploadId ?? ''
    },
    async putPart(uploadId, PartNumber, bytes, signal) {
      const part = { PartNumber, Body: bytes, ContentLength: bytes.length }
      const input = { ...upload(uploadId), ...clients.customerKey, ...part }
      const put = (client: S3Client, how: How) => client.send(new sdk.UploadPartCommand(input), how)
      const { ETag, ChecksumCRC32 } = await send(put, signal)
      return { PartNumber, ETag, ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }) }
    },
    async join(uploadId, Parts, signal) {
      const input = { ...upload(uploadId), ...clients.customerKey, MultipartUpload: { Parts: [...Parts] } }
      const join = (client: S3Client, how: How) => client.send(new sdk.CompleteMultipartUploadCommand(input), how)
      return (await send(join, signal)).ETag ?? ''
    },
    async abandon(uploadId) {
      await send((client) => client.send(new sdk.AbortMultipartUploadCommand(upload(uploadId))), undefined)
    },
  }
}

function typeOf({ contentType }: PutOptions): { ContentType?: string } {
  return contentType === undefined ? {} : { ContentType: contentType }
}

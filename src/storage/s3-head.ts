/** Heads of objects as S3's answers tell them. */
import type { ObjectHead } from './backend.ts'

export interface S3Head {
  readonly ContentLength?: number | undefined
  readonly ETag?: string | undefined
  readonly LastModified?: Date | undefined
  readonly ContentType?: string | undefined
  readonly ContentEncoding?: string | undefined
}

export function headOf(key: string, answer: S3Head): ObjectHead {
  const { ContentLength = 0, ETag = '', LastModified, ContentType, ContentEncoding } = answer
  return {
    key,
    size: ContentLength,
    etag: ETag,
    ...(LastModified === undefined ? {} : { lastModified: LastModified.getTime() }),
    ...(ContentType === undefined ? {} : { contentType: ContentType }),
    ...(ContentEncoding === undefined ? {} : { contentEncoding: ContentEncoding }),
  }
}

/** The settings of a job as its journal keeps them: JSON, and the one function among them, as functions travel. */
import { SerializationError } from '../core/errors.ts'
import { shippingFunctions } from '../functions/capture.ts'
import { decodeValueWith, encodeValue } from '../functions/codec.ts'
import { loadingFunctions } from '../functions/load-function.ts'
import type { JobSettings } from './parts.ts'

/** @throws SerializationError when `retryIf` cannot travel */
export function keptSettings(settings: JobSettings): Readonly<Record<string, unknown>> {
  const { retryIf, ...retries } = settings.retries ?? {}
  if (retryIf === undefined) return { ...settings }
  return { ...settings, retries: { ...retries, retryIf: encoded(retryIf).toString('base64') } }
}

/** @throws SerializationError when a module of `retryIf` is not there any more */
export async function readSettings(kept: Readonly<Record<string, unknown>>): Promise<JobSettings> {
  const { retries } = kept as { readonly retries?: { readonly retryIf?: string } }
  if (retries?.retryIf === undefined) return kept as JobSettings
  const retryIf = await decodeValueWith(Buffer.from(retries.retryIf, 'base64'), loadingFunctions)
  return { ...kept, retries: { ...retries, retryIf } } as JobSettings
}

function encoded(retryIf: unknown): Buffer {
  try {
    return Buffer.from(encodeValue(retryIf, 'retries.retryIf', shippingFunctions))
  } catch (cause) {
    if (!(cause instanceof SerializationError)) throw cause
    throw new SerializationError(`a journal keeps retries.retryIf, for a resume to ask it too: ${cause.message}`, {
      cause,
    })
  }
}

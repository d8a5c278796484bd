/**
 * What is written to standard output and error while a call runs becomes that call's log, whole and in order; what is
 * written between calls goes to the descriptors. The streams are made on first use, as Node makes them.
 */
import { StringDecoder } from 'node:string_decoder'
import type { RunningCall } from './run-invocation.ts'

/** UTF-16 units of one report. */
const MAX_TEXT = 65_536

/** Call once, before user code is loaded. */
export function captureOutput(running: () => RunningCall | undefined): void {
  for (const name of ['stdout', 'stderr'] as const) {
    const make = Object.getOwnPropertyDescriptor(process, name)?.get
    if (make === undefined) continue
    let stream: NodeJS.WriteStream | undefined
    const get = () => {
      stream ??= redirect(make.call(process) as NodeJS.WriteStream, name, running)
      return stream
    }
    Object.defineProperty(process, name, { configurable: true, enumerable: true, get })
  }
}

type Written = (error?: Error | null) => void

function redirect(stream: NodeJS.WriteStream, name: 'stdout' | 'stderr', running: () => RunningCall | undefined) {
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean
  const decoder = new StringDecoder('utf8')
  stream.write = (chunk: Uint8Array | string, encoding?: BufferEncoding | Written, done?: Written): boolean => {
    const call = running()
    if (call === undefined) return write(chunk, encoding, done)
    const written = typeof encoding === 'function' ? encoding : done
    const text = textOf(chunk, typeof encoding === 'string' ? encoding : 'utf8', decoder)
    for (const part of cutText(text, MAX_TEXT)) call.log(part, name)
    if (written !== undefined) process.nextTick(written)
    return true
  }
  return stream
}

function textOf(chunk: Uint8Array | string, encoding: BufferEncoding, decoder: StringDecoder): string {
  if (typeof chunk === 'string')
    return encoding === 'utf8' || encoding === 'utf-8' ? chunk : decoder.write(Buffer.from(chunk, encoding))
  return decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
}

/** Parts of at most `most` UTF-16 units; a surrogate pair is never parted. */
export function cutText(text: string, most: number): string[] {
  const parts: string[] = []
  for (let at = 0; at < text.length; ) {
    let end = Math.min(text.length, at + most)
    const last = text.charCodeAt(end - 1)
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end -= 1
    parts.push(text.slice(at, end))
    at = end
  }
  return parts
}

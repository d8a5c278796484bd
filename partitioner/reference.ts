/**
 * References in text → which store, and which keys of it. Keys of object stores are verbatim; only `file:` and
 * `http(s):` are URLs, in which `%` means something. Text without a scheme is a path of this machine.
 */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type CloudObject, objectUrl } from '../src/core/cloud-object.ts'
import { ConfigError, ValidationError } from '../src/core/errors.ts'
import { escapeGlob, isGlob, literalPrefix } from '../src/core/glob.ts'
import { nearestName } from '../src/core/nearest.ts'

/** What can be selected; text and URLs may name a key, a prefix that ends in "/", or a glob. */
export type ObjectReference = string | URL | CloudObject

/** What a reference asks of its store. */
export type Target =
  | { readonly type: 'key'; readonly key: string; readonly etag?: string | undefined }
  | { readonly type: 'prefix'; readonly prefix: string }
  | { readonly type: 'glob'; readonly prefix: string; readonly glob: string }

export interface Located {
  /** The reference as it was given, for messages. */
  readonly text: string
  readonly backend: string
  readonly bucket: string
  readonly target: Target
}

const BACKEND_OF: Readonly<Record<string, string>> = {
  s3: 'aws_s3',
  gs: 'gcp_storage',
  minio: 'minio',
  memory: 'memory',
  localhost: 'localhost',
  file: 'file',
  http: 'http',
  https: 'http',
}

/**
 * Where a reference points. `cwd` is where relative paths begin.
 * @throws ConfigError for an unknown scheme, naming the nearest; ValidationError for a reference without bucket
 */
export function locate(reference: string | CloudObject, cwd: string): Located {
  if (typeof reference !== 'string') {
    const { backend, bucket, key, etag } = reference
    const text = objectUrl(backend, bucket, key)
    return { text, backend, bucket, target: { type: 'key', key, etag: etag === '' ? undefined : etag } }
  }
  const { scheme, rest } = schemeOf(reference)
  if (scheme === undefined) return located(reference, 'file', '/', pathKey(reference, cwd))
  const backend = BACKEND_OF[scheme]
  if (backend === undefined) throw unknownScheme(reference, scheme)
  if (backend === 'file') return located(reference, backend, '/', fileUrlKey(reference))
  if (backend === 'http') return httpLocated(reference)
  const slash = rest.indexOf('/')
  const bucket = slash === -1 ? rest : rest.slice(0, slash)
  if (bucket === '' || isGlob(bucket)) {
    throw new ValidationError(`${reference}: expected ${scheme}://bucket/key, got no plain bucket name`)
  }
  return located(reference, backend, bucket, slash === -1 ? '' : rest.slice(slash + 1))
}

/**
 * The one object that text names, whatever its key: nothing in it is a glob, and a final "/" is part of it.
 * @throws as `locate`
 */
export function locateObject(text: string, cwd: string): { backend: string; bucket: string; key: string } {
  const { scheme, rest } = schemeOf(text)
  if (scheme === undefined || scheme === 'file') {
    const path = scheme === undefined ? resolve(cwd, text) : fileURLToPath(text)
    return { backend: 'file', bucket: '/', key: path.slice(1) }
  }
  const { backend, bucket, target } = locate(text, cwd)
  if (backend === 'http' && target.type === 'key') return { backend, bucket, key: target.key }
  const slash = rest.indexOf('/')
  if (slash === -1 || slash === rest.length - 1) throw new ValidationError(`${text}: expected a key after the bucket`)
  return { backend, bucket, key: rest.slice(slash + 1) }
}

/** A URL instance as text: the key of an object store is decoded, since a URL had to encode it. */
export function urlText(url: URL): string {
  if (url.protocol === 'file:' || url.protocol === 'http:' || url.protocol === 'https:') return url.href
  const key = decodeURIComponent(url.pathname.slice(1) + url.search + url.hash)
  return `${url.protocol}//${url.host}/${key}`
}

function schemeOf(reference: string): { scheme: string | undefined; rest: string } {
  const match = /^([a-z][a-z0-9+._-]*):\/\/(.*)$/is.exec(reference)
  if (match !== null) return { scheme: (match[1] as string).toLowerCase(), rest: match[2] as string }
  const [, short] = /^([a-z0-9]+):/i.exec(reference) ?? []
  if (short !== undefined && BACKEND_OF[short.toLowerCase()] !== undefined) {
    throw new ValidationError(`${reference}: expected "//" after "${short}:"; a path of that name is ./${reference}`)
  }
  return { scheme: undefined, rest: reference }
}

function located(text: string, backend: string, bucket: string, key: string): Located {
  const at = { text, backend, bucket }
  if (isGlob(key)) return { ...at, target: { type: 'glob', prefix: literalPrefix(key), glob: key } }
  return { ...at, target: key === '' || key.endsWith('/') ? { type: 'prefix', prefix: key } : { type: 'key', key } }
}

/** The absolute path without its first slash; a trailing slash stays, since it says "directory". */
function pathKey(path: string, cwd: string): string {
  if (path === '') throw new ValidationError('a reference is empty: expected a path, a URL or a CloudObject')
  const absolute = resolve(cwd, path)
  const directory = path.endsWith('/') || /(^|\/)\.{1,2}$/.test(path)
  const folder = escapeFolder(path, absolute, cwd)
  return (directory && !folder.endsWith('/') ? `${folder}/` : folder).slice(1)
}

/** The working directory is no part of the glob, whatever characters it has. */
function escapeFolder(path: string, absolute: string, cwd: string): string {
  if (path.startsWith('/') || !isGlob(path)) return isGlob(path) || !isGlob(absolute) ? absolute : escapeGlob(absolute)
  return absolute.startsWith(`${cwd}/`) ? escapeGlob(cwd) + absolute.slice(cwd.length) : absolute
}

function fileUrlKey(reference: string): string {
  const url = new URL(reference)
  if (url.host !== '' && url.host !== 'localhost') {
    throw new ValidationError(`${reference}: expected file:///absolute/path, got the host ${url.host}`)
  }
  const raw = reference.replace(/^file:\/\/(localhost)?/i, '').replace(/^\//, '')
  const glob = isGlob(raw)
  return raw.replace(/(?:%[0-9a-f]{2})+/gi, (coded) => {
    const text = decodeURIComponent(coded)
    return glob || isGlob(text) ? escapeGlob(text) : text
  })
}

function httpLocated(reference: string): Located {
  const { origin, pathname, search } = new URL(reference)
  const key = `${pathname.slice(1)}${search}`
  return { text: reference, backend: 'http', bucket: origin, target: { type: 'key', key } }
}

function unknownScheme(reference: string, scheme: string): ConfigError {
  const nearest = nearestName(scheme, Object.keys(BACKEND_OF))
  const known = Object.keys(BACKEND_OF).map((name) => `${name}://`)
  const hint = nearest === undefined ? `expected ${known.join(', ')} or a path` : `did you mean ${nearest}://?`
  return new ConfigError(`${reference}: no store has the scheme "${scheme}"; ${hint}`)
}

/** Values as JSON, without losing what JSON has no word for. */

/**
 * Plain JSON data: a Map with text keys becomes an object, any other a list of entries, a Set a list, bytes base64,
 * a bigint and what is no finite number text, undefined null.
 */
export function toJsonData(value: unknown): unknown {
  if (value === undefined) return null
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Map) return mapToJson(value)
  if (value instanceof Set) return [...value].map(toJsonData)
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (Array.isArray(value)) return value.map(toJsonData)
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, toJsonData)
  if (value instanceof Error) return { name: value.name, message: value.message }
  if ('toJSON' in value && typeof value.toJSON === 'function') return value.toJSON()
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, toJsonData(each)]))
}

function mapToJson(map: ReadonlyMap<unknown, unknown>): unknown {
  const entries = [...map].map(([key, value]) => [key, toJsonData(value)] as const)
  if (entries.every(([key]) => typeof key === 'string')) return Object.fromEntries(entries as [string, unknown][])
  return entries.map(([key, value]) => [toJsonData(key), value])
}

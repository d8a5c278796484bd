/**
 * What can be selected, as plain data: references to objects, an inventory, a list of keys. Nothing is looked up until
 * `selectObjects`; what cannot be meant is refused here.
 */
import { type CloudObject, isCloudObject } from '../src/core/cloud-object.ts'
import { ValidationError } from '../src/core/errors.ts'
import type { BackendResolver } from '../src/storage/backend.ts'
import type { InventoryOptions } from './lists/inventory.ts'
import type { KeyListOptions } from './lists/key-list.ts'
import { locate, type ObjectReference, urlText } from './reference.ts'
import { selectReferences } from './select-references.ts'
import type { Selected, SelectingOptions, SelectionOptions } from './selected.ts'
import { checkedOptions } from './selection-options.ts'

export type { InventoryOptions } from './lists/inventory.ts'
export type { KeyListOptions } from './lists/key-list.ts'
export type { ObjectReference } from './reference.ts'
export type { Selected, SelectingOptions, SelectingProgress, SelectionOptions } from './selected.ts'

/** Plain data: what was asked for, not yet looked up. */
export type ObjectSelection =
  | {
      readonly kind: 'object-selection'
      readonly references: readonly (string | CloudObject)[]
      readonly options: SelectionOptions
    }
  | { readonly kind: 'object-selection'; readonly inventory: string; readonly options: InventoryOptions }
  | { readonly kind: 'object-selection'; readonly keyList: string; readonly options: KeyListOptions }

/**
 * Selects objects: keys, prefixes that end in "/", globs, paths, URLs, CloudObjects, or a list that mixes them.
 * @throws ValidationError, ConfigError for a reference or an option that cannot be one
 */
export function objects(
  references: ObjectReference | readonly ObjectReference[],
  options: SelectionOptions = {},
): ObjectSelection {
  const list: readonly unknown[] = Array.isArray(references) ? references : [references]
  const checked = list.map(checkedReference)
  for (const reference of checked) locate(reference, '/')
  return { kind: 'object-selection', references: checked, options: checkedOptions('objects', options) }
}

/**
 * Selects the objects of an S3 Inventory by the URL of its `manifest.json`, or of the folder of its configuration, whose
 * newest report is taken. Only current versions; every object is held to the etag the inventory has of it.
 * @throws ValidationError, ConfigError for a URL or an option that cannot be one
 */
export function inventory(url: string | URL, options: InventoryOptions = {}): ObjectSelection {
  const text = listUrl('inventory', url)
  return { kind: 'object-selection', inventory: text, options: checkedOptions('inventory', options) }
}

/**
 * Selects the objects that a text file, a CSV or NDJSON names, one a line: URLs, paths, or keys behind `base`.
 * @throws ValidationError, ConfigError for a URL or an option that cannot be one
 */
export function keyList(url: string | URL, options: KeyListOptions = {}): ObjectSelection {
  const text = listUrl('keyList', url)
  const checked = checkedOptions('keyList', options)
  if (checked.base !== undefined) locate(checked.base, '/')
  return { kind: 'object-selection', keyList: text, options: checked }
}

export function isObjectSelection(value: unknown): value is ObjectSelection {
  return typeof value === 'object' && value !== null && (value as ObjectSelection).kind === 'object-selection'
}

/**
 * Looks a selection up.
 * @throws NotFoundError for a missing key, bucket or URL, and a prefix or glob that matches nothing
 * @throws ObjectChangedError for a CloudObject whose etag is no longer the store's
 * @throws ValidationError for an inventory or a key list that is none, or lacks what a plan needs
 */
export async function selectObjects(
  selection: ObjectSelection,
  resolve: BackendResolver,
  options: SelectingOptions = {},
): Promise<Selected> {
  if ('inventory' in selection) {
    const { selectInventory } = await import('./lists/inventory.ts')
    return selectInventory(selection.inventory, selection.options, resolve, options)
  }
  if ('keyList' in selection) {
    const { selectKeyList } = await import('./lists/key-list.ts')
    return selectKeyList(selection.keyList, selection.options, resolve, options)
  }
  return selectReferences(selection.references, selection.options, resolve, options)
}

function checkedReference(reference: unknown): string | CloudObject {
  if (reference instanceof URL) return urlText(reference)
  if (typeof reference === 'string' || isCloudObject(reference)) return reference
  const came = reference === null || typeof reference !== 'object' ? String(reference) : JSON.stringify(reference)
  throw new ValidationError(`objects: expected a path, a URL or a CloudObject, got ${came}`)
}

function listUrl(method: string, url: unknown): string {
  const text = url instanceof URL ? urlText(url) : url
  if (typeof text !== 'string') throw new ValidationError(`${method}: expected a path or a URL, got ${String(url)}`)
  if (text === '-') throw new ValidationError(`${method}: standard input is not read; write it to a file first`)
  const { target } = locate(text, '/')
  if (target.type === 'glob') throw new ValidationError(`${method}: expected one path or URL, got the glob ${text}`)
  if (method === 'keyList' && target.type === 'prefix') {
    throw new ValidationError(`${method}: expected the path or URL of a file, got ${text}`)
  }
  return text
}

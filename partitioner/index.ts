/** quern/partitioner: what to read. Select objects, plan partitions, open them, certify what was read. */
export type { ArrowBatch } from './arrow/arrow.ts'
export { BoundaryScanner, canOverlap } from './boundary.ts'
export type { Certificate, CertifiedObject, CertifiedSpan, PartitionOutcome } from './coverage.ts'
export { certify } from './coverage.ts'
export type { CsvOptions, CsvRow } from './csv/csv.ts'
export type { Cutting } from './cut.ts'
export { nominalRange, nominalRanges, rangeCount } from './cut.ts'
export { resolveEdges } from './edges.ts'
export { delimiterOf, partitionOptions } from './options.ts'
export type { ObjectPartition } from './partition.ts'
export type { Partition, PartitionOptions, Plan, PlanOptions, PriceTable, Uncut } from './plan.ts'
export { planPartitions } from './plan-partitions.ts'
export { DEFAULT_PRICES, requestCost, type StorePrices } from './prices.ts'
export type { OpenOptions, ReadReport } from './read.ts'
export { openPartition, PartitionReader } from './read.ts'
export type { RecordBlock } from './records.ts'
export type {
  InventoryOptions,
  KeyListOptions,
  ObjectReference,
  ObjectSelection,
  Selected,
  SelectingOptions,
  SelectingProgress,
  SelectionOptions,
} from './select.ts'
export { inventory, isObjectSelection, keyList, objects, selectObjects } from './select.ts'
export { validatePlan } from './validate-plan.ts'

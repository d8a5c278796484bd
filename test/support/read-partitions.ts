/** Cuts one object and reads every partition in every form, for comparison with a sequential reader. */

import { type Certificate, certify } from '../../partitioner/coverage.ts'
import type { Cutting } from '../../partitioner/cut.ts'
import { nominalRanges } from '../../partitioner/cut.ts'
import { partitionOptions } from '../../partitioner/options.ts'
import type { Partition, PartitionOptions, Plan } from '../../partitioner/plan.ts'
import { planPartitions } from '../../partitioner/plan-partitions.ts'
import { type OpenOptions, openPartition, type PartitionReader } from '../../partitioner/read.ts'
import type { CloudObject } from '../../src/core/cloud-object.ts'

export const READERS = ['stream', 'bytes', 'text', 'records', 'recordBlocks', 'lines', 'lineBatches'] as const
export type ReaderName = (typeof READERS)[number]

export function partitionsOf(object: CloudObject, cutting: Cutting): Partition[] {
  const ranges = nominalRanges(object.size, cutting)
  return ranges.map((range, index) => ({ object, range, index, count: ranges.length }))
}

/** What one reader gives for one partition, as a list whose items can be joined over partitions. */
export async function readWith(reader: PartitionReader, name: ReaderName): Promise<(string | Buffer)[]> {
  const out: (string | Buffer)[] = []
  if (name === 'stream') for await (const chunk of reader.stream()) out.push(Buffer.from(chunk))
  if (name === 'bytes') out.push(Buffer.from(await reader.bytes()))
  if (name === 'text') out.push(await reader.text())
  if (name === 'records') for await (const record of reader.records()) out.push(Buffer.from(record))
  if (name === 'recordBlocks') {
    for await (const { bytes, starts, ends, count } of reader.recordBlocks()) {
      for (let i = 0; i < count; i++) out.push(Buffer.from(bytes.subarray(starts[i], ends[i])))
    }
  }
  if (name === 'lines') for await (const line of reader.lines()) out.push(line)
  if (name === 'lineBatches') for await (const lines of reader.lineBatches()) out.push(...lines)
  return out
}

export interface ReadAll {
  readonly outputs: (string | Buffer)[][]
  readonly certificate: Certificate
}

/** Every partition of the object through one reader, and the certificate of it. */
export async function readAll(
  object: CloudObject,
  options: PartitionOptions,
  name: ReaderName,
  open: Omit<OpenOptions, 'read'> & { readonly edgesOf?: (index: number) => OpenOptions['edges'] },
): Promise<ReadAll> {
  const read = partitionOptions(options)
  const plan = planOf(object, options)
  const outputs: (string | Buffer)[][] = []
  const outcomes = []
  for (const partition of plan.partitions) {
    const reader = openPartition(partition, { ...open, edges: open.edgesOf?.(partition.index), read })
    outputs.push(await readWith(reader, name))
    outcomes.push({ state: 'committed', report: JSON.parse(JSON.stringify(reader.report())) } as const)
  }
  return { outputs, certificate: certify(plan, outcomes, () => 'etag') }
}

export function planOf(object: CloudObject, options: PartitionOptions): Plan {
  const selected = {
    selection: [object.url],
    objects: [object],
    skipped: [],
    requests: [],
    encoded: [],
    allowUnpinned: false,
  }
  return planPartitions(selected, options)
}

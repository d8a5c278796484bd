/**
 * What workers measured, one column a field: numbers and flags; what is neither is kept as it is. Which fields there
 * are, the workers say.
 */
import type { WorkerStats } from '../monitor/monitor.ts'

interface Column {
  readonly kind: 'number' | 'boolean'
  values: Float64Array
}

export class StatsColumns {
  #capacity = 0
  #present = new Uint8Array(0)
  readonly #columns = new Map<string, Column>()
  readonly #others = new Map<number, Record<string, unknown>>()

  resize(capacity: number): void {
    this.#capacity = capacity
    const present = new Uint8Array(capacity)
    present.set(this.#present)
    this.#present = present
    for (const column of this.#columns.values()) {
      const values = new Float64Array(capacity)
      values.set(column.values)
      column.values = values
    }
  }

  set(call: number, stats: WorkerStats): void {
    this.#present[call] = 1
    if (this.#others.size > 0) this.#others.delete(call)
    const fields = stats as unknown as Readonly<Record<string, unknown>>
    let written = 0
    for (const name in fields) {
      const value = fields[name]
      const column = typeof value === 'number' || typeof value === 'boolean' ? this.#column(name, value) : undefined
      if (column !== undefined) {
        column.values[call] = Number(value)
        written += 1
      } else if (value !== undefined) this.#keep(call, name, value)
    }
    // what this one lacks another has brought
    if (written === this.#columns.size) return
    for (const [name, { values }] of this.#columns) if (fields[name] === undefined) values[call] = Number.NaN
  }

  get(call: number): WorkerStats | undefined {
    if (this.#present[call] !== 1) return undefined
    const stats: Record<string, unknown> = {}
    for (const [name, { kind, values }] of this.#columns) {
      const value = values[call] as number
      if (!Number.isNaN(value)) stats[name] = kind === 'number' ? value : value === 1
    }
    return Object.assign(stats, this.#others.get(call)) as unknown as WorkerStats
  }

  /** One of the numbers. */
  number(call: number, name: keyof WorkerStats): number | undefined {
    const value = this.#present[call] === 1 ? this.#columns.get(name)?.values[call] : undefined
    return value === undefined || Number.isNaN(value) ? undefined : value
  }

  /** Undefined for a value of another kind than the first of that name. */
  #column(name: string, value: number | boolean): Column | undefined {
    const kind = typeof value as Column['kind']
    let column = this.#columns.get(name)
    if (column === undefined) {
      column = { kind, values: new Float64Array(this.#capacity) }
      // earlier calls did not bring it
      for (let call = 0; call < this.#capacity; call++) if (this.#present[call] === 1) column.values[call] = Number.NaN
      this.#columns.set(name, column)
    }
    return column.kind === kind && !Number.isNaN(value) ? column : undefined
  }

  #keep(call: number, name: string, value: unknown): void {
    const kept = this.#others.get(call)
    if (kept === undefined) this.#others.set(call, { [name]: value })
    else kept[name] = value
  }
}

/** Placeholder replaced by the partitioner's reader. */
export interface ReadReport {
  /** Where the first owned record begins; absent when it was not resolved. */
  readonly start?: number
  /** Where the last owned record ends; absent when reading stopped before it was known. */
  readonly end?: number
  /** No record begins in the nominal range. */
  readonly empty?: boolean
  /** End of the contiguous bytes that were handed to the function, from `start`. */
  readonly deliveredEnd: number
  readonly records?: number
}

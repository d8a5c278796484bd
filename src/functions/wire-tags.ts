/** Tags of host objects on the wire. Views have theirs from 0, by the place of their class in wire.ts. */
export const TAG = {
  outOfBand: 63,
  url: 64,
  error: 65,
  domException: 66,
  instance: 67,
  bare: 68,
  array: 69,
  map: 70,
  set: 71,
  regexp: 72,
  built: 73,
  symbol: 74,
  function: 75,
} as const

/** How many classes of views there are: tags below this are theirs. */
export const VIEW_KINDS = 13

/** Kinds of segment, the first item of each. */
export const FUNCTIONS = 0
export const FILL = 1
export const BUILD = 2
export const ROOT = 3

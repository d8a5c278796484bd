/** The program capture.mjs starts: prints how many ms its first capture took, everything imported. */
import { captureFunction } from '../dist/src/functions/capture.js'

const WORDS = new Set(['a', 'the'])
const helper = (text) => text.split(' ').filter((word) => !WORDS.has(word))

const from = performance.now()
captureFunction((text) => helper(text).length, 'f')
console.log(performance.now() - from)

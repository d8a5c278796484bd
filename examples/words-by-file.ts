/** A program: its function, written inline, takes with it the constants, helpers and imports that it uses. */
import { basename } from 'node:path'
import { FunctionExecutor, objects } from 'quern'

const COMMON = new Set(['a', 'and', 'in', 'of', 'the', 'to'])

function wordsOf(text: string): string[] {
  return text
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter((word) => word !== '' && !COMMON.has(word))
}

const [source = 'fixtures/text/*.txt'] = process.argv.slice(2)
const exec = new FunctionExecutor({ showProgressbar: false })
const counts = await exec.map(
  async (part) => ({ file: basename(part.object.key), words: wordsOf(await part.text()).length }),
  objects(source),
)
console.log(JSON.stringify(counts))
await exec.shutdown()

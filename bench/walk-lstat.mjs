/** The floor of planning: every file under a folder, with its size. */
import { lstatSync, readdirSync } from 'node:fs'

let files = 0
let bytes = 0
const walk = (folder) => {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const name = `${folder}/${entry.name}`
    if (entry.isDirectory()) walk(name)
    else {
      bytes += lstatSync(name).size
      files += 1
    }
  }
}
walk(process.argv[2])
console.log(files, bytes)

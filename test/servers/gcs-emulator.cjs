/**
 * The Cloud Storage emulator of firebase-tools by itself, on loopback: no command line around it, no Java, no download.
 * Its security rules are left out, as only browsers' clients are held to them.
 * usage: node gcs-emulator.cjs FOLDER_OF_FIREBASE_TOOLS PORT; prints a line once it listens, ends with its standard input
 */
const { join } = require('node:path')

const [folder, port] = process.argv.slice(2)
const library = (name) => require(join(folder, 'node_modules/firebase-tools/lib/emulator', name))
const { StorageEmulator } = library('storage')
const { EmulatorRegistry } = library('registry')

const emulator = new StorageEmulator({
  projectId: 'demo-quern',
  host: '127.0.0.1',
  port: Number(port),
  rules: [],
  auto_download: false,
})
const nothing = async () => undefined
Object.assign(emulator._rulesRuntime, { start: nothing, stop: nothing })
emulator._rulesManager = { start: nothing, stop: nothing, getRuleset: () => undefined }

// a request it does not know must not end it
process.on('unhandledRejection', (error) => console.error(error))
process.on('uncaughtException', (error) => console.error(error))
process.stdin.on('end', () => process.exit()).resume()
EmulatorRegistry.start(emulator).then(() => console.log('listening'))

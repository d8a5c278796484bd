import { defineConfig } from 'vitest/config'
import { startJoinedWorkers } from './test/support/joined-workers.ts'

export default defineConfig({
  plugins: [startJoinedWorkers],
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    globalSetup: ['test/support/joined-workers.ts', 'test/support/servers.ts'],
  },
})

import { defineConfig } from 'vitest/config'
import { startJoinedWorkers } from './test/support/joined-workers.ts'

/** Files whose tests leave nothing behind in their process share one with others, and what they import with them. */
const SHARING = ['core', 'config', 'executor', 'functions', 'job', 'monitor', 'partitioner', 'property']
  .concat(['reducers', 'report', 'storage', 'worker'])
  .map((room) => `test/${room}/**/*.test.ts`)

const each = { testTimeout: 60_000, hookTimeout: 60_000, pool: 'forks' } as const

export default defineConfig({
  test: {
    maxWorkers: 2,
    globalSetup: ['test/support/joined-workers.ts', 'test/support/servers.ts'],
    projects: [
      { plugins: [startJoinedWorkers], test: { ...each, name: 'rooms', include: SHARING, isolate: false } },
      {
        plugins: [startJoinedWorkers],
        test: { ...each, name: 'whole', include: ['test/**/*.test.ts'], exclude: SHARING },
      },
    ],
  },
})

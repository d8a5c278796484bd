import { expect, it } from 'vitest'
import { createBackends } from '../../src/backends.ts'

it('closes without error when a store could not be connected', async () => {
  const backends = createBackends({} as never)
  await expect(backends.resolve('localhost')).rejects.toThrow()
  await expect(backends.close()).resolves.toBeUndefined()
})

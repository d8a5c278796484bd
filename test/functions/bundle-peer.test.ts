import { expect, it, vi } from 'vitest'
import { bundleFunction } from '../../src/functions/bundle.ts'

vi.mock('esbuild', () => {
  throw new Error("Cannot find package 'esbuild'")
})

it('says what to install where esbuild is not there, but only where there is something to bundle', async () => {
  const { url } = import.meta
  const fn = { kind: 'module', url: new URL('./modules/placed.ts', url).href, export: 'place' } as const
  await expect(bundleFunction(fn)).rejects.toMatchObject({
    code: 'CONFIG',
    message: 'bundling functions for other machines needs esbuild: npm install esbuild',
  })
  await expect(bundleFunction({ kind: 'text', text: '() => 1', name: 'f' })).resolves.toHaveProperty('hash')
})

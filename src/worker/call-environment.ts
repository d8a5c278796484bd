/** Sets a job's `extraEnv` while its calls run; afterwards `process.env` has those names as it had them before. */
export async function withEnvironment<T>(extra: Readonly<Record<string, string>>, body: () => Promise<T>): Promise<T> {
  const names = Object.keys(extra)
  if (names.length === 0) return body()
  const before = names.map((name) => process.env[name])
  Object.assign(process.env, extra)
  try {
    return await body()
  } finally {
    names.forEach((name, i) => {
      const value = before[i]
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    })
  }
}

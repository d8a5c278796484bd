/** The programs that tests start by the dozen: joined-workers.ts joins them and says where they are. */
export const PROGRAMS = {
  cli: 'src/entry/cli.ts',
  'durable-driver': 'test/support/durable-driver.ts',
  'durable-s3': 'test/support/durable-s3.ts',
  /** What job files import. */
  'job-file': 'src/cli/job-file.ts',
  'journal-racer': 'test/support/journal-racer.ts',
  'kill-driver': 'test/support/kill-driver.ts',
  'output-driver': 'test/support/output-driver.ts',
} as const

/** Tells the processes that run tests where the joined programs are. */
export const PROGRAMS_VARIABLE = 'QUERN_TEST_PROGRAMS'

/** The file of a program, for `node`. */
export function joinedProgram(name: keyof typeof PROGRAMS): string {
  return `${process.env[PROGRAMS_VARIABLE]}/${name}.js`
}

/** The programs that tests start by the dozen: joined-workers.ts joins them and says where they are. */
export const DRIVERS = ['durable-driver', 'durable-s3', 'journal-racer', 'kill-driver', 'output-driver'] as const

/** Tells the processes that run tests where the joined programs are. */
export const PROGRAMS_VARIABLE = 'QUERN_TEST_PROGRAMS'

/** The file of a driver, for `node`. */
export function joinedDriver(name: (typeof DRIVERS)[number]): string {
  return `${process.env[PROGRAMS_VARIABLE]}/${name}.js`
}

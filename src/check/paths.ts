import { basename } from 'node:path';
import { problemOf } from '../check-paths.ts';
import type { ExpectedPath } from '../config/expected-paths.ts';
import { findProgram } from '../system/find-program.ts';
import { failure, good, of, type Verdict } from './check.ts';

/** Where a program of that name is instead. */
async function elsewhere(path: string, includePath: readonly string[]): Promise<string | undefined> {
  const found = await findProgram(basename(path), includePath);
  return found === path ? undefined : found;
}

async function wayOut(expected: ExpectedPath, includePath: readonly string[]): Promise<string> {
  const { key, kind, path } = expected;
  if (kind !== 'program') return `Correct ${key}: in the INI file, or make it.`;
  const found = await elsewhere(path, includePath);
  return found === undefined
    ? `Install it, or set ${key}: to its path.`
    : `There is one at ${found}: set ${key}: to that.`;
}

/** Every file, directory and program that the INI file names for this host. */
export async function checkPaths(
  expected: readonly ExpectedPath[],
  includePath: readonly string[],
): Promise<readonly Verdict[]> {
  const found = await Promise.all(
    expected.map(async (one): Promise<readonly Verdict[]> => {
      const problem = await problemOf(one, includePath);
      return problem === undefined ? [] : [of(one.key, failure(problem, await wayOut(one, includePath)))];
    }),
  );
  const failures = found.flat();
  return failures.length > 0
    ? failures
    : [good(`all ${expected.length} paths and programs of the INI file are here`)];
}

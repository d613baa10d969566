import { stat } from 'node:fs/promises';
import type { ExpectedPath } from './config/expected-paths.ts';
import { exitCodes, PitrError } from './errors.ts';
import { findProgram } from './system/find-program.ts';

/** Undefined if it exists here; the sentence begins with its key. */
export async function problemOf(
  { key, kind, path }: ExpectedPath,
  includePath: readonly string[],
): Promise<string | undefined> {
  if (kind === 'program') {
    const program = await findProgram(path, includePath);
    return program === undefined ? `${key}: there is no program ${path}` : undefined;
  }
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return `${key}: ${path} does not exist`;
  const isRight = kind === 'directory' ? found.isDirectory() : found.isFile();
  return isRight ? undefined : `${key}: ${path} is no ${kind}`;
}

/** Throws one error that names every path and program in the INI file that does not exist here. */
export async function requirePaths(
  expected: readonly ExpectedPath[],
  includePath: readonly string[],
): Promise<void> {
  const found = await Promise.all(expected.map((path) => problemOf(path, includePath)));
  const problems = found.filter((problem) => problem !== undefined);
  if (problems.length === 0) return;
  throw new PitrError('the INI file is valid, but a path or program in it does not exist on this host', {
    detail: problems.join('; '),
    exitCode: exitCodes.configuration,
  });
}

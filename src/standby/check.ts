import { stat } from 'node:fs/promises';
import { listExpectedPaths, type ExpectedPath } from '../config/expected-paths.ts';
import { standbyOptions } from '../config/options-standby.ts';
import { exitCodes, PitrError } from '../errors.ts';
import { findProgram } from '../system/find-program.ts';
import type { StandbyDeps } from './deps.ts';

async function problemOf(
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

/** No action: says whether the INI file can be used here. */
export async function checkConfiguration(deps: StandbyDeps): Promise<number> {
  const { settings } = deps;
  const expected = listExpectedPaths(standbyOptions, settings);
  const found = await Promise.all(expected.map((path) => problemOf(path, settings.includepath)));
  const problems = found.filter((problem) => problem !== undefined);
  if (problems.length > 0) {
    throw new PitrError('the configuration is readable, but not everything it names is here', {
      detail: problems.join('; '),
      exitCode: exitCodes.configuration,
    });
  }
  deps.report('Config OK');
  return 0;
}

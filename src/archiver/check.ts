import { stat } from 'node:fs/promises';
import { listExpectedPaths, type ExpectedPath } from '../config/expected-paths.ts';
import { archiverOptions } from '../config/options-archiver.ts';
import { exitCodes, PitrError } from '../errors.ts';
import { findProgram } from '../system/find-program.ts';
import { readCluster, readPinnedIdentifier } from './cluster.ts';
import type { ArchiverDeps } from './deps.ts';
import { layoutOf } from './layout.ts';

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

/** The program that a standby's own section names instead of the common one. */
function ownPrograms(deps: ArchiverDeps): ExpectedPath[] {
  const { ssh, standbys } = deps.settings;
  return standbys
    .filter((standby) => standby.ssh.program !== ssh.program)
    .map((standby) => ({ key: `[${standby.name}] ssh`, kind: 'program', path: standby.ssh.program }));
}

async function checkPinned(deps: ArchiverDeps): Promise<void> {
  const { settings } = deps;
  const pinned = await readPinnedIdentifier(layoutOf(settings.l_archivedir));
  if (pinned === undefined) {
    deps.log.notice(`${settings.l_archivedir} is not initialized yet: run cmd_archiver -C FILE -I`);
    return;
  }
  const cluster = await readCluster(settings.pgdata);
  if (cluster.systemIdentifier === pinned) return;
  throw new PitrError(
    `l_archivedir ${settings.l_archivedir} belongs to cluster ${pinned}, pgdata is ${cluster.systemIdentifier}`,
  );
}

/** No action: says whether the INI file can be used here. */
export async function checkConfiguration(deps: ArchiverDeps): Promise<void> {
  const { settings } = deps;
  const expected = [...listExpectedPaths(archiverOptions, settings), ...ownPrograms(deps)];
  const found = await Promise.all(expected.map((path) => problemOf(path, settings.includepath)));
  const problems = found.filter((problem) => problem !== undefined);
  if (problems.length > 0) {
    throw new PitrError('the configuration is readable, but not everything it names is here', {
      detail: problems.join('; '),
      exitCode: exitCodes.configuration,
    });
  }
  await checkPinned(deps);
  if (settings.state === 'offline') deps.log.notice('state is offline: nothing will be archived');
  deps.report('Config OK');
}

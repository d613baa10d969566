import { join } from 'node:path';
import { listExpectedPaths } from '../config/expected-paths.ts';
import { standbyOptions } from '../config/options-standby.ts';
import { capabilitiesOf, type Capabilities } from '../postgres/capabilities.ts';
import { findVersion } from '../postgres/version.ts';
import { findOpenIni } from '../system/file-modes.ts';
import { requirePaths } from '../system/check-paths.ts';
import { readIfExists } from '../system/durable.ts';
import type { StandbyDeps } from './deps.ts';
import { sayWherePrimaryIsHere } from './primary-is-here.ts';
import { installedPackageFolders } from './server/server-programs.ts';

/** Of the server whose data directory is here; before the first base backup, of what the INI says that it will be. */
async function releaseHere({ settings }: StandbyDeps): Promise<Capabilities | undefined> {
  const inPgdata = await readIfExists(join(settings.pgdata, 'PG_VERSION')).catch(() => undefined);
  const version = findVersion(inPgdata?.toString('utf8') ?? settings.pgversion ?? '');
  return version === undefined ? undefined : capabilitiesOf(version);
}

/** No action: says whether the INI file can be used here. */
export async function checkConfiguration(deps: StandbyDeps): Promise<number> {
  const { settings } = deps;
  await sayWherePrimaryIsHere(deps);
  // pg_ctl is looked for where packages put it, of the release that pgdata will be of.
  const folders = [...settings.includepath, ...(await installedPackageFolders())];
  await requirePaths(listExpectedPaths(standbyOptions, settings, await releaseHere(deps)), folders);
  const problem = await findOpenIni(deps.iniFile, settings.repl_db_password !== undefined);
  if (problem !== undefined) throw problem;
  deps.report('Config OK');
  return 0;
}

import { listExpectedPaths } from '../config/expected-paths.ts';
import { standbyOptions } from '../config/options-standby.ts';
import { requirePaths } from '../system/check-paths.ts';
import type { StandbyDeps } from './deps.ts';
import { sayWherePrimaryIsHere } from './primary-is-here.ts';
import { installedPackageFolders } from './server/server-programs.ts';

/** No action: says whether the INI file can be used here. */
export async function checkConfiguration(deps: StandbyDeps): Promise<number> {
  const { settings } = deps;
  await sayWherePrimaryIsHere(deps);
  // pg_ctl is looked for where packages put it, of the release that pgdata will be of.
  const folders = [...settings.includepath, ...(await installedPackageFolders())];
  await requirePaths(listExpectedPaths(standbyOptions, settings), folders);
  deps.report('Config OK');
  return 0;
}

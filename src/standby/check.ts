import { listExpectedPaths } from '../config/expected-paths.ts';
import { standbyOptions } from '../config/options-standby.ts';
import { requirePaths } from '../system/check-paths.ts';
import type { StandbyDeps } from './deps.ts';

/** No action: says whether the INI file can be used here. */
export async function checkConfiguration(deps: StandbyDeps): Promise<number> {
  const { settings } = deps;
  await requirePaths(listExpectedPaths(standbyOptions, settings), settings.includepath);
  deps.report('Config OK');
  return 0;
}

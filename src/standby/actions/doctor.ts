import { requireKnown } from '../../check/arguments.ts';
import { runChecks } from '../../check/check.ts';
import { showChecks } from '../../check/show.ts';
import { standbyChecks } from '../check/checks.ts';
import { type DryRun, standbyCheck } from '../check/context.ts';
import type { BackupOptions, StandbyDeps } from '../deps.ts';

/**
 * `--check`: tries whether this host and the primary work together.
 *
 * @param names of the checks; none for all of them
 * @returns the exit status
 */
export async function checkAll(
  deps: StandbyDeps,
  names: readonly string[],
  { dryRun, json }: Pick<BackupOptions, 'dryRun' | 'json'>,
  trySwitchover: DryRun,
): Promise<number> {
  requireKnown(names, standbyChecks);
  const found = await runChecks(deps, standbyChecks, names, standbyCheck(deps, dryRun, trySwitchover));
  return showChecks({ program: 'cmd_standby', host: deps.hostName, atMs: deps.now(), found }, json);
}

import { join } from 'node:path';
import { requirePaths } from '../../check-paths.ts';
import { listExpectedPaths } from '../../config/expected-paths.ts';
import { standbyOptions } from '../../config/options-standby.ts';
import { exitCodes } from '../../errors.ts';
import { type Capabilities, capabilitiesOf, untestedRelease } from '../../postgres/capabilities.ts';
import { findVersion } from '../../postgres/version.ts';
import { exists, readIfExists } from '../../system/durable.ts';
import { findForeignOwner, findOpenIni } from '../../system/file-modes.ts';
import { findMissing } from '../archive/find-missing.ts';
import { missingSentence } from '../archive/missing.ts';
import type { StandbyDeps } from '../deps.ts';
import { sayTraceOfStop } from '../hand-over/half-stopped.ts';
import { misspeltPgdata } from '../host/misspelt-pgdata.ts';
import { sayWherePrimaryIsHere } from '../primary/primary-is-here.ts';
import { warnOfPause } from '../recovery/left-pause.ts';
import { noStandbyObjections } from '../recovery/no-standby.ts';
import { warnOfDroppedDelay } from '../recovery/own-delay.ts';
import { type DataDirectory, readDataDirectory } from '../server/data-directory.ts';
import { limitObjectionsOf, observeLowLimits } from '../server/limits.ts';
import { observeArchiving, warnOfArchiving } from '../server/own-archiving.ts';
import { type Server, serverOf } from '../server/server.ts';
import { readConfiguration } from '../server/server-configuration.ts';
import { installedPackageFolders } from '../server/server-programs.ts';
import { observeServer } from '../server/server-state.ts';
import { warnOfSlots } from '../slot/concerns.ts';
import { warnOfSlotsHere } from '../slot/for-others.ts';
import { sayLeftSlots } from '../slot/left-slots.ts';
import type { Objection } from '../steps/objections.ts';

/** The release of the data directory here or, before the first base backup, the release in the INI file. */
async function releaseHere({ settings }: StandbyDeps): Promise<Capabilities | undefined> {
  const inPgdata = await readIfExists(join(settings.pgdata, 'PG_VERSION')).catch(() => undefined);
  const version = findVersion(inPgdata?.toString('utf8') ?? settings.pgversion ?? '');
  return version === undefined ? undefined : capabilitiesOf(version);
}

/** Without an action: reports whether the INI file can be used here. */
export async function checkConfiguration(deps: StandbyDeps): Promise<number> {
  const { settings } = deps;
  await sayWherePrimaryIsHere(deps);
  // pg_ctl is also looked for in the folders of packages, for the release that pgdata has or will have.
  const folders = [...settings.includepath, ...(await installedPackageFolders())];
  const release = await releaseHere(deps);
  await requirePaths(listExpectedPaths(standbyOptions, settings, release), folders);
  const untested = release === undefined ? undefined : untestedRelease(release);
  if (untested !== undefined) deps.log.warning(untested);
  const problem = await findOpenIni(deps.iniFile, settings.repl_db_password !== undefined);
  if (problem !== undefined) throw problem;
  const foreign = await findForeignOwner(deps.iniFile);
  if (foreign !== undefined) deps.log.warning(foreign.message, { hint: foreign.hint });
  if (!(await exists(settings.pgdata)))
    deps.log.notice(`pgdata "${settings.pgdata}" does not exist here, so no server could be checked`);
  const found = [...(await misspeltPgdata(settings.pgdata)), ...(await checkServer(deps))];
  for (const { message, hint } of found) deps.log.error(message, { hint });
  if (found.length > 0) return exitCodes.failure;
  deps.report('Config OK');
  return 0;
}

/**
 * Settings that would prevent the standby here from starting or from replaying. Before the first base backup there are
 * none.
 */
async function findLowHere(server: Server, directory: DataDirectory): Promise<readonly Objection[]> {
  if (noStandbyObjections(directory).length > 0) return [];
  const configuration = await readConfiguration(server, 'standby');
  const state = await observeServer(server);
  const low = await observeLowLimits({ server, configuration, state });
  return limitObjectionsOf(low, configuration);
}

/**
 * A standby may have inherited its archive_command from the primary. Without this check, the operator would learn only
 * after a promotion that it cannot run here.
 */
async function checkArchiving(server: Server): Promise<void> {
  const { deps } = server;
  const seen = await observeArchiving(server);
  if (seen.kind === 'known') return warnOfArchiving(deps, seen.archiving);
  deps.log.notice(`the archive_command of this server is not known: ${seen.reason}`);
}

/** WAL that exists nowhere any more is noticed best before this standby is needed. */
async function warnOfMissing(deps: StandbyDeps, directory: DataDirectory): Promise<void> {
  if (noStandbyObjections(directory).length > 0) return;
  const missing = await findMissing(deps.settings.archivedir, directory);
  if (missing !== undefined) deps.log.warning(missingSentence(missing));
}

/** Lists the problems of the server in pgdata, if pgdata contains a complete one. */
async function checkServer(deps: StandbyDeps): Promise<readonly Objection[]> {
  const directory = await readDataDirectory(deps.settings.pgdata).catch(() => undefined);
  if (directory?.control === undefined || directory.isIncomplete) return [];
  const server = serverOf(deps, directory.capabilities);
  await sayTraceOfStop(deps, directory);
  await checkArchiving(server);
  await warnOfMissing(deps, directory);
  await warnOfSlots(deps, directory);
  await warnOfPause(deps, directory);
  warnOfDroppedDelay(deps, directory.record);
  await warnOfSlotsHere(server);
  sayLeftSlots(deps, directory);
  return findLowHere(server, directory);
}

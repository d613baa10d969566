import { join, resolve } from 'node:path';
import { requirePaths } from '../../check-paths.ts';
import { listExpectedPaths } from '../../config/expected-paths.ts';
import { archiverOptions } from '../../config/options-archiver.ts';
import { messageOf, PitrError } from '../../errors.ts';
import { findForeignOwner } from '../../system/file-modes.ts';
import { quoted } from '../../system/printable.ts';
import { programRoot } from '../../system/program-root.ts';
import { readStoppedFor } from '../../system/stopped-for.ts';
import { ownPrograms } from '../check/local.ts';
import type { ArchiverDeps } from '../deps.ts';
import { lanesOf } from '../lane/lane.ts';
import { gapSentence } from '../lane/modes.ts';
import { findUnconfirmed } from '../lane/own-forks.ts';
import { readLaneState } from '../lane/state.ts';
import { mentionEarlierRelease } from '../queue/earlier-release.ts';
import { mentionLeftoverQueues } from '../queue/leftover-queues.ts';
import { findNoCompression } from '../queue/queued-frame.ts';
import { readCluster, readPinnedIdentifier } from '../wal/cluster.ts';
import { judgeOwnArchiving } from '../wal/own-archive-command.ts';
import { warnOfUntestedRelease } from '../wal/release.ts';
import { describeStatistics, viewServer } from '../wal/server-view.ts';

async function checkPinned(deps: ArchiverDeps): Promise<void> {
  const { settings } = deps;
  const pinned = await readPinnedIdentifier(deps.layout);
  if (pinned === undefined) {
    deps.log.notice(`${settings.l_archivedir} is not initialized yet: run cmd_archiver -C FILE -I`);
    return;
  }
  const cluster = await readCluster(settings.pgdata);
  if (cluster.systemIdentifier === pinned) {
    for (const { message, hint } of await findUnconfirmed(deps, cluster)) deps.log.warning(message, { hint });
    return;
  }
  throw new PitrError(
    `l_archivedir ${settings.l_archivedir} belongs to cluster ${pinned}, pgdata is ${cluster.systemIdentifier}`,
  );
}

async function mentionGaps(deps: ArchiverDeps): Promise<void> {
  for (const lane of lanesOf(deps)) {
    const { gap } = await readLaneState(lane);
    if (gap !== undefined) deps.log.warning(gapSentence(lane.name, gap));
  }
}

/** The server may wait for its standby, or start as a standby next: cmd_standby has the ways out. */
async function mentionSwitchover({ settings: { pgdata }, log }: ArchiverDeps): Promise<void> {
  try {
    const stoppedFor = await readStoppedFor(pgdata);
    if (stoppedFor === undefined) return;
    log.warning(
      `the server in "${pgdata}" was stopped, or was to be stopped, for a switchover to ${quoted(stoppedFor.host, 80)}, which is not finished`,
      { hint: 'cmd_standby -C FILE on this host says what comes next, and how to take it back.' },
    );
  } catch (error) {
    log.warning(
      `whether a switchover has stopped the server in "${pgdata}" is not known: ${messageOf(error)}`,
    );
  }
}

/** If a server archives by another program, or with another INI file, it ships nothing through this one. */
async function checkArchiveCommand(deps: ArchiverDeps, iniFile: string): Promise<void> {
  const view = await viewServer(deps);
  if (view.kind === 'not-running') {
    deps.log.notice(`no server runs on ${deps.settings.pgdata}: its archive_command cannot be checked`);
    return;
  }
  if (view.kind === 'unknown') {
    deps.log.notice(`the server's archive_command is not known: ${view.reason}`);
    return;
  }
  const verdict = await judgeOwnArchiving(view.archiving, { pgdata: deps.settings.pgdata, iniFile });
  if (verdict.kind === 'unknown') deps.log.warning(verdict.reason);
  if (verdict.kind !== 'wrong') return;
  throw new PitrError(`PostgreSQL does not archive with this program and INI file: ${verdict.reason}`, {
    detail: view.statistics && describeStatistics(view.statistics),
    hint: `In postgresql.conf: archive_command = '${join(programRoot(), 'bin', 'cmd_archiver')} -C ${iniFile} -F %p'`,
  });
}

/** Without an action: reports whether the INI file can be used here. */
export async function checkConfiguration(
  deps: ArchiverDeps,
  configFile: string,
  requireClosedIni: () => Promise<void>,
): Promise<void> {
  const { settings } = deps;
  const expected = [...listExpectedPaths(archiverOptions, settings), ...ownPrograms(settings)];
  await requirePaths(expected, settings.includepath);
  await requireClosedIni();
  const foreign = await findForeignOwner(configFile);
  if (foreign !== undefined) deps.log.warning(foreign.message, { hint: foreign.hint });
  const missing = await findNoCompression(settings);
  if (missing !== undefined) deps.log.warning(missing.message, { hint: missing.hint });
  await warnOfUntestedRelease(deps);
  await checkPinned(deps);
  await mentionEarlierRelease(deps);
  await mentionLeftoverQueues(deps);
  await mentionGaps(deps);
  await mentionSwitchover(deps);
  if (settings.state === 'offline') deps.log.notice('state is offline: nothing will be archived');
  await checkArchiveCommand(deps, resolve(configFile));
  deps.report('Config OK');
}

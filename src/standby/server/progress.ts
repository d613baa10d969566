import { join } from 'node:path';
import type { ControlFile } from '../../postgres/control-file.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import { diskUseOf } from '../../status/disks.ts';
import { readSentinel } from '../../system/sentinel.ts';
import type { AnswerOf, WalPlace } from '../../verbs/verbs.ts';
import { readHistory } from '../archive/contents.ts';
import type { StandbyDeps } from '../deps.ts';
import { isUnderWay } from '../recovery/promotion.ts';
import { hasUnfinishedFailover } from '../recovery/unfinished-failover.ts';
import { ownSlotName } from '../slot/own-name.ts';
import { type DataDirectory, readDataDirectory, wasInRecovery } from './data-directory.ts';
import { delaySql, replayDelayOf } from './replay-delay.ts';
import { serverOf } from './server.ts';
import { observeServer, rowsOf, type ServerState } from './server-state.ts';

type Progress = Omit<AnswerOf<'status'>, 'takesRole' | 'disk' | 'version'>;

/**
 * The WAL that pg_control proves to be replayed: that of the restartpoint, or of the later location before which
 * recovery cannot stop any more.
 */
export function provedPlace({ redoLsn, timeline, progress }: ControlFile): WalPlace {
  const isLater = progress !== undefined && progress.minRecoveryLsn > redoLsn;
  return isLater
    ? { timeline: progress.minRecoveryTimeline, lsn: formatLsn(progress.minRecoveryLsn) }
    : { timeline, lsn: formatLsn(redoLsn) };
}

/** Until a base backup has been started, its label counts: pg_control may be from a later checkpoint. */
function placesOf(control: ControlFile, { backupLabel }: DataDirectory): Partial<Progress> {
  if (backupLabel === undefined)
    return {
      restartpoint: { timeline: control.timeline, lsn: formatLsn(control.redoLsn) },
      proved: provedPlace(control),
    };
  const { startSegment, startLsn } = backupLabel;
  return { restartpoint: { timeline: startSegment.timeline, lsn: formatLsn(startLsn) } };
}

function controlSays(directory: DataDirectory): Partial<Progress> {
  const { control } = directory;
  if (control === undefined) return {};
  const { systemIdentifier, walSegmentSize } = control;
  return {
    systemIdentifier,
    ...(walSegmentSize === undefined ? {} : { segmentSize: walSegmentSize }),
    ...placesOf(control, directory),
    // A base backup on which no server was started yet still has the pg_control of its origin.
    isStandby: directory.backupLabel === undefined && wasInRecovery(control),
  };
}

function serverWord({ kind }: ServerState): Progress['server'] {
  return kind === 'stopped' ? 'down' : kind;
}

async function serverSays(deps: StandbyDeps, directory: DataDirectory): Promise<Progress> {
  const server = serverOf(deps, directory.capabilities);
  const { lastReplayLsnFunction: replay, lastReceiveLsnFunction: receive } = directory.capabilities;
  const state = await observeServer(server);
  const word = serverWord(state);
  if (state.kind !== 'recovering') return { server: word };
  const rows =
    !state.answers || replay === undefined || receive === undefined
      ? undefined
      : await rowsOf(
          server,
          `SELECT ${replay}()::text AS replayed, ${receive}()::text AS received, ${delaySql(directory.capabilities)} AS delay`,
        );
  const row = rows?.[0];
  const location = (name: 'replayed' | 'received') =>
    typeof row?.[name] === 'string' ? { [name]: row[name] } : {};
  const shown = typeof row?.['delay'] === 'number' ? row['delay'] : undefined;
  const delay = await replayDelayOf(server, shown).catch(() => undefined);
  return {
    server: word,
    ...location('replayed'),
    ...location('received'),
    ...(delay === undefined ? {} : { delay }),
  };
}

/** A mark that cannot be read is no mark: the same archive takes no delivery either. */
async function promotedTo({ settings: { archivedir } }: StandbyDeps): Promise<number | undefined> {
  return (await readSentinel(archivedir).catch(() => undefined))?.promotedAtTimeline;
}

async function ancestryOf(
  { settings: { archivedir } }: StandbyDeps,
  { pgdata, capabilities }: DataDirectory,
  timeline: number,
): Promise<readonly WalPlace[] | undefined> {
  for (const directory of [join(pgdata, capabilities.walDirName), archivedir]) {
    const entries = await readHistory(directory, timeline).catch(() => undefined);
    if (entries === undefined) continue;
    return entries.flatMap(({ timeline, end }) =>
      end.kind === 'lsn' ? [{ timeline, lsn: formatLsn(end.lsn) }] : [],
    );
  }
  return undefined;
}

async function promotionSays(deps: StandbyDeps, directory: DataDirectory): Promise<Partial<Progress>> {
  const { promotion, switchover } = directory.record;
  const timeline = await promotedTo(deps);
  const ancestry = timeline === undefined ? undefined : await ancestryOf(deps, directory, timeline);
  const isBegun = promotion !== undefined && isUnderWay(promotion);
  return {
    ...(timeline === undefined ? {} : { promotedTo: timeline }),
    ...(ancestry === undefined ? {} : { ancestry }),
    ...(isBegun ? { promotion: promotion.run } : {}),
    ...(switchover === undefined ? {} : { switchover: switchover.primary }),
  };
}

/** Undefined if pgdata holds no cluster. */
export async function findDataDirectory(deps: StandbyDeps): Promise<DataDirectory | undefined> {
  try {
    return await readDataDirectory(deps.settings.pgdata);
  } catch (error) {
    deps.log.debug('pgdata holds no cluster', { detail: String(error) });
    return undefined;
  }
}

/** Determines how far this host's standby has come, as far as its files and its server show. Changes nothing. */
export async function observeProgress(deps: StandbyDeps): Promise<Progress> {
  const directory = await findDataDirectory(deps);
  return directory === undefined ? { server: 'no-data' } : progressOf(deps, directory);
}

async function archiveDisk({ settings }: StandbyDeps): Promise<Pick<AnswerOf<'status'>, 'disk'>> {
  const use = await diskUseOf(settings.archivedir).catch(() => undefined);
  return use === undefined ? {} : { disk: { bytes: use.bytes, free: use.freeBytes } };
}

/** The same, the space in archivedir, and whether a failover is under way here. */
export async function observeStatus(deps: StandbyDeps): Promise<AnswerOf<'status'>> {
  return { ...(await statusHere(deps)), ...(await archiveDisk(deps)) };
}

async function statusHere(deps: StandbyDeps): Promise<AnswerOf<'status'>> {
  const directory = await findDataDirectory(deps);
  if (directory === undefined) return { server: 'no-data' };
  const progress = {
    ...(await progressOf(deps, directory)),
    version: directory.capabilities.version.major,
  };
  const { server, promotion } = progress;
  const isOpened = server === 'production' || (server === 'down' && hasUnfinishedFailover(directory));
  return (isOpened || promotion !== undefined) && directory.record.takesRole === true
    ? { ...progress, takesRole: true }
    : progress;
}

export async function progressOf(deps: StandbyDeps, directory: DataDirectory): Promise<Progress> {
  if (directory.isIncomplete) return { server: 'no-data' };
  const server = await serverSays(deps, directory);
  const streamSlot = ownSlotName(deps, directory.capabilities, directory.record);
  const streamsFrom = deps.settings.master_public_ip;
  const slot = streamSlot === undefined ? {} : { streamSlot, streamsFrom };
  return { ...slot, ...controlSays(directory), ...(await promotionSays(deps, directory)), ...server };
}

import { PitrError, refusal } from '../../errors.ts';
import type { AnswerOf, ArgumentsOf, Shutdown } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { withActionLock } from '../host/action-lock.ts';
import { changeRecord } from '../host/backup-record/record.ts';
import { noteHistory } from '../host/history.ts';
import { writeRecoverySettings } from '../recovery/files.ts';
import { recoveryPlace } from '../recovery/place.ts';
import { recoverySettings } from '../recovery/settings.ts';
import { type DataDirectory, readControlFile } from '../server/data-directory.ts';
import { stopServerProgram } from '../server/local-server.ts';
import type { Server } from '../server/server.ts';
import { readConfiguration } from '../server/server-configuration.ts';
import { observeServer } from '../server/server-state.ts';
import { findOwnServer, type OwnServer, requireTimeline, timelineOf } from './own-server.ts';
import { readShutdown } from './shutdown.ts';
import { noteFor, requireNoOther, requireOurs } from './stopped-for.ts';

/**
 * From now on the server starts as a standby only, even if a supervisor, a boot or an operator starts it. There are
 * never two servers that take writes, even if we end at this moment.
 */
async function becomeStandbyAtStart(server: Server): Promise<void> {
  const place = await recoveryPlace(server, await readConfiguration(server, 'standby'));
  const mode = { kind: 'standby', streaming: undefined } as const;
  await writeRecoverySettings(server, 'standby', recoverySettings(server.capabilities, mode, place));
}

/** A supervisor has started it since, and it runs as a standby: where it had ended as the primary was noted. */
function notedShutdown({ record }: DataDirectory, host: string): Shutdown | undefined {
  const { stoppedFor } = record;
  if (stoppedFor?.host !== host || stoppedFor.checkpoint === undefined || stoppedFor.end === undefined)
    return undefined;
  const { timeline, checkpoint, end } = stoppedFor;
  return { timeline, checkpoint, end };
}

/** This run has stopped it before, and nothing has happened to it since: nothing is to be written. Asked during the write outage. */
async function isStillStopped(
  { server, directory: { record, hasRecoverySettings } }: OwnServer,
  token: string,
  noted: Shutdown,
): Promise<boolean> {
  if (record.stoppedFor?.token !== token || !hasRecoverySettings) return false;
  if ((await readControlFile(server.pgdata))?.state !== 'shut-down') return false;
  const { timeline, checkpoint, end } = await readShutdown(server);
  return timeline === noted.timeline && checkpoint === noted.checkpoint && end === noted.end;
}

async function stopUnderLock(
  deps: StandbyDeps,
  { timeline, host, cluster, token }: ArgumentsOf<'stop-primary'>,
): Promise<AnswerOf<'stop-primary'>> {
  const own = await findOwnServer(deps, cluster);
  const { server, directory } = own;
  const { pgdata, control } = directory;
  const state = await observeServer(server);
  requireTimeline(await timelineOf(own, state), timeline);
  requireNoOther(directory.record.stoppedFor, host, state);
  const noted = notedShutdown(directory, host);
  if (state.kind === 'stopped' && noted !== undefined && (await isStillStopped(own, token, noted)))
    return { shutdown: noted };
  const since = new Date(deps.now()).toISOString();
  const stoppedFor = noteFor(directory.record.stoppedFor, { host, timeline, token, since });
  const isStandby =
    state.kind === 'recovering' ||
    control?.state === 'shut-down-in-recovery' ||
    (state.kind !== 'production' && control?.state === 'in-archive-recovery');
  if (isStandby) {
    if (noted === undefined) throw refusal(`the server in "${pgdata}" on this host is a standby already`);
    await changeRecord(pgdata, { stoppedFor });
    return { shutdown: noted };
  }
  requireOurs(directory.record.stoppedFor, state);
  await changeRecord(pgdata, { stoppedFor });
  // Before the stop: whatever starts the server after it starts a standby. A primary that runs does not read these settings.
  await becomeStandbyAtStart(server);
  if (state.kind !== 'stopped') await stopServerProgram(server);
  const shutdown = await readShutdown(server);
  await changeRecord(pgdata, { stoppedFor: { ...stoppedFor, ...shutdown } });
  if ((await observeServer(server)).kind === 'production')
    throw new PitrError(`the server in "${pgdata}" was started again right after its stop`, {
      hint: 'Find what starts it, and set stop_command: to a command that stops it for good.',
    });
  const { timeline: left, end } = shutdown;
  await noteHistory(deps, { kind: 'stopped-for', by: host, timeline: left, end });
  return { shutdown };
}

/** `stop-primary`: see src/verbs/verbs.ts. */
export async function stopPrimary(
  deps: StandbyDeps,
  args: ArgumentsOf<'stop-primary'>,
): Promise<AnswerOf<'stop-primary'>> {
  return withActionLock(deps, (locked) => stopUnderLock(locked, args));
}

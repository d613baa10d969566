/** The steps that bring the server out of recovery. */
import type { ArchiverSettings } from '../../../config/options-archiver.ts';
import { messageOf, PitrError } from '../../../errors.ts';
import { keptSlot } from '../../../postgres/kept-slot.ts';
import { formatLsn } from '../../../postgres/lsn.ts';
import type { LowLimit } from '../../../postgres/standby-limits.ts';
import { readPostmaster } from '../../../system/postmaster.ts';
import { removeSlot } from '../../archive/keep/leftover.ts';
import type { ArchivedEnd } from '../../archive/replay-check.ts';
import { promotingAction } from '../../deps.ts';
import { changeRecord, readRecord, type RecordChange } from '../../host/backup-record/record.ts';
import { clearRecoverySettings, writeRecoverySettings } from '../../recovery/files.ts';
import { removeGuard, writeGuard } from '../../recovery/guard.ts';
import { resumeReplay } from '../../recovery/pause.ts';
import { newPromotion, stillUnderWay, withServer } from '../../recovery/promotion.ts';
import { isReplayPaused } from '../../recovery/replayed.ts';
import type { RecoverySettings } from '../../recovery/settings.ts';
import { readControlFile } from '../../server/data-directory.ts';
import { NotAskedToOpen, promoteServerProgram } from '../../server/local-server.ts';
import type { ServerConfiguration } from '../../server/server-configuration.ts';
import { observeServer } from '../../server/server-state.ts';
import type { Fetch } from '../../siblings/compare.ts';
import { fetchSegments } from '../../siblings/fetch.ts';
import { dropSlotsMade, makeSlotsHere } from '../../slot/for-others.ts';
import { serverSteps } from '../../steps/server-steps.ts';
import { bringDelayBack, dropDelay, type SettingDelay } from './delay.ts';
import { fenceStepTable } from './fence.ts';
import { type LoginProof, proveLogin } from './local-login.ts';
import { type LastQuestion, seeNoRival } from './rivals.ts';
import { type FailoverRun, step } from './run.ts';
import { type ReplayProof, seeArchiveReplayed, seeItOpen } from './see-it-open.ts';

/** From now on the server may open even if this run is killed: other standbys must not be promoted as long as it runs. */
async function noteOpening(run: FailoverRun): Promise<void> {
  const { promotion, server } = run;
  if (promotion === undefined) return;
  run.promotion = await withServer(promotion, server.pgdata);
  if (run.promotion !== promotion) await changeRecord(server.pgdata, { promotion: run.promotion });
}

async function promote(run: FailoverRun): Promise<void> {
  const { server, opening } = run;
  await noteOpening(run);
  // A site's own command may wait for the end of a long replay, and may be ended before that.
  run.opening = 'begun';
  try {
    await promoteServerProgram(server);
  } catch (error) {
    // An earlier run may have promoted the server before it ended. The server may have opened since, and pg_ctl refuses
    // to promote an open server.
    if ((await observeServer(server)).kind === 'production') return;
    if (error instanceof NotAskedToOpen) run.opening = opening;
    throw error;
  }
}

/** From now on the other standbys see that this host is about to be promoted. */
export async function recordRole(run: FailoverRun, change: RecordChange): Promise<void> {
  const { deps, pgdata } = run.server;
  const { promotion } = await readRecord(pgdata);
  run.earlier = stillUnderWay(promotion);
  run.promotion = newPromotion(deps, run.earlier);
  await changeRecord(pgdata, { ...change, promotion: run.promotion });
}

/** As it was, unless the server may open. */
export async function takeRoleBack(
  { server: { pgdata }, opening, earlier }: FailoverRun,
  change: RecordChange = {},
): Promise<void> {
  if (opening !== 'not begun') return;
  const role = earlier === undefined ? { takesRole: undefined } : {};
  await changeRecord(pgdata, { ...role, ...change, promotion: stillUnderWay(earlier) });
}

/** The record explains to an operator where these values of the server's parameters come from. */
async function noteRaised(
  { server: { deps, pgdata } }: FailoverRun,
  limits: readonly LowLimit[],
): Promise<void> {
  for (const { name, here, demanded } of limits)
    deps.log.notice(
      `${name} is raised from ${here} to ${demanded}, until the server is started next: its pg_control demands it`,
    );
  const raisedSettings = Object.fromEntries(limits.map(({ name, demanded }) => [name, demanded]));
  await changeRecord(pgdata, { raisedSettings });
}

/** A server that is paused at its target opens then; before 'record-role', replay only continues. */
async function resume(run: FailoverRun): Promise<void> {
  const { server, opening } = run;
  await noteOpening(run);
  if (run.promotion === undefined) return resumeReplay(server);
  run.opening = 'begun';
  try {
    await resumeReplay(server);
  } catch (error) {
    if (await isReplayPaused(server, await observeServer(server))) {
      run.opening = opening;
      throw error;
    }
    // The record stays, so it is no refusal.
    throw new PitrError('cannot see whether the replay was resumed', {
      detail: messageOf(error),
      hint: `Run ${promotingAction(server.deps)} again.`,
      cause: error,
    });
  }
}

interface SettingsToWrite {
  readonly settings: RecoverySettings;
  readonly mode: 'standby' | 'recovery';
}

/** The next start of the server must not repeat a recovery that did not reach its end. */
async function clearUnlessItRecovers(
  { server, opening }: FailoverRun,
  { mode }: SettingsToWrite,
): Promise<void> {
  if (mode !== 'recovery' || opening === 'done') return;
  // A running server continues to the end of the WAL. Without its recovery.conf it would end there, and its next start
  // would open on the old timeline.
  const { kind } = await readPostmaster(server.pgdata);
  if (kind === 'running' || kind === 'unclear') {
    const action = promotingAction(server.deps);
    server.deps.log.warning(`the server continues its recovery, and opens by itself: run ${action} again`);
    return;
  }
  await clearRecoverySettings(server);
}

interface SlotsToMake {
  readonly names: readonly string[];
  /** The configuration with which the promoted server will be restarted. */
  readonly conf: ServerConfiguration | undefined;
}

interface FetchWal {
  readonly archiver: ArchiverSettings;
  readonly fetches: readonly Fetch[];
  /** The operator accepts that it may fail. */
  readonly isAccepted: boolean;
}

function describeFetch({ fetches }: FetchWal): string {
  const [first, last] = [fetches[0], fetches.at(-1)];
  const names = [...new Set(fetches.map(({ from }) => from.name))].join(', ');
  const which =
    fetches.length === 1
      ? `segment ${first?.name.text ?? ''}`
      : `${fetches.length} segments, ${first?.name.text ?? ''} to ${last?.name.text ?? ''}`;
  return `fetch WAL that only other standbys have: ${which}, from ${names}`;
}

async function fetchWal({ server }: FailoverRun, fetch: FetchWal): Promise<void> {
  const { deps } = server;
  const control = await readControlFile(server.pgdata);
  const segmentSize = control?.walSegmentSize;
  if (control === undefined || segmentSize === undefined) throw new PitrError('pg_control cannot be read');
  try {
    const cluster = { systemIdentifier: control.systemIdentifier, segmentSize, histories: new Map() };
    await fetchSegments(deps, fetch.archiver, fetch.fetches, cluster);
    deps.log.notice(`fetched from other standbys: ${fetch.fetches.length} segments`);
  } catch (error) {
    deps.signal.throwIfAborted();
    if (!fetch.isAccepted) {
      throw new PitrError(messageOf(error), {
        detail: error instanceof PitrError ? error.detail : undefined,
        hint: 'The standby has not been promoted. -F999 again asks all standbys anew; --force=sibling-ahead promotes without the WAL that cannot be fetched.',
        cause: error,
      });
    }
    deps.log.warning(`${messageOf(error)}; continuing without that WAL (--force=sibling-ahead)`);
  }
}

export const openingSteps = {
  ...serverSteps,
  /** First of all: the facts are looked at again after it. */
  ...fenceStepTable,
  /** Before all others: the archive is looked at again after it. */
  'fetch-wal': step<FetchWal>({ say: describeFetch, run: fetchWal }),
  /** Before anything can open the server. */
  'record-role': step<{ readonly takesRole: boolean }>({
    say: ({ takesRole }) =>
      takesRole
        ? "record that this host takes the primary's role"
        : "record that this host does not take the primary's role: the other standbys are not informed",
    run: (run, { takesRole }) => recordRole(run, { takesRole }),
    undo: (run) => takeRoleBack(run),
    leavesNothing: true,
  }),
  /** After 'record-role', which the other standbys see, and right before anything can open the server. */
  'see-no-rival': step<LastQuestion>({
    say: ({ siblings }) => {
      const names = siblings.siblings
        .filter(({ answer }) => answer.kind === 'answered')
        .map(({ target }) => target.name);
      return names.length === 0
        ? 'see once more that this host was informed of no other promotion'
        : `ask once more whether another standby was promoted: ${names.join(', ')}`;
    },
    run: seeNoRival,
    leavesNothing: true,
  }),
  'write-settings': step<SettingsToWrite>({
    say: ({ mode }) =>
      `write the settings of ${mode === 'standby' ? 'a standby that reads the archive' : 'the recovery'}`,
    run: ({ server }, { mode, settings }) => writeRecoverySettings(server, mode, settings),
    undo: clearUnlessItRecovers,
  }),
  'raise-settings': step<{ readonly limits: readonly LowLimit[] }>({
    say: ({ limits }) =>
      `raise what pg_control demands: ${limits.map(({ name, demanded }) => `${name} = ${demanded}`).join(', ')}`,
    run: (run, { limits }) => noteRaised(run, limits),
  }),
  /** Before 'promote', if this run has started the server. */
  'prove-login': step<LoginProof>({
    say: () => 'check that the steps after the promotion can log in',
    run: ({ server }, proof) => proveLogin(server, proof),
    leavesNothing: true,
  }),
  'remove-slot': step({
    say: () => `drop replication slot "${keptSlot}": the WAL that only it keeps may be removed`,
    run: ({ server }) => removeSlot(server),
  }),
  'resume-replay': step({
    say: () => 'resume the replay, which is paused',
    run: resume,
  }),
  'drop-delay': step<{ readonly delay: SettingDelay }>({
    say: ({ delay }) => `set recovery_min_apply_delay, which is ${delay.value}, to 0`,
    run: ({ server }, { delay }) => dropDelay(server, delay),
    // Once the server is open, 'clear-settings' brings back the user's own. The INI file's must not come back.
    undo: async ({ server, opening }, { delay }) => {
      if (opening !== 'done') await bringDelayBack(server, delay);
    },
  }),
  /** Before 'promote', if the server can be queried. */
  'see-archive-replayed': step<ReplayProof>({
    say: ({ lsn }) => `wait until the archive is replayed to its end, LSN ${formatLsn(lsn)}`,
    run: seeArchiveReplayed,
    leavesNothing: true,
  }),
  /** Before 'promote'. */
  'guard-replay': step<{ readonly end: ArchivedEnd | undefined }>({
    say: () => 'make the server end instead of opening if it cannot read the archive',
    run: ({ server }, { end }) => writeGuard(server.pgdata, end),
    // The guard stays if the promotion was begun: the server may still open, and must not open too early.
    undo: async ({ server, opening }) => {
      if (opening === 'not begun') await removeGuard(server.pgdata);
    },
    leavesNothing: true,
  }),
  /** Before 'promote', if the server can be queried. */
  'make-slots': step<SlotsToMake>({
    say: ({ names }) =>
      `have the replication slots here by which the other standbys will stream: ${names.join(', ')}`,
    run: async (run, { names, conf }) => {
      await makeSlotsHere(run.server, names, conf);
    },
    undo: async ({ server, opening }) => {
      if (opening === 'not begun') await dropSlotsMade(server);
    },
    leavesNothing: true,
  }),
  'lift-guard': step({
    say: () => 'let the server open even if it cannot read the archive',
    run: ({ server }) => removeGuard(server.pgdata),
  }),
  promote: step({
    say: () => 'promote the server: it replays all WAL that is here, and opens',
    run: promote,
  }),
  'see-it-open': step<{ readonly target: string | undefined }>({
    say: ({ target }) =>
      target === undefined
        ? 'wait until it is out of recovery'
        : `wait until it has recovered to ${target} and is out of recovery`,
    run: async (run) => {
      // A server that was started with the settings of a recovery opens without a promotion.
      await noteOpening(run);
      run.opening = 'begun';
      await seeItOpen(run);
      run.opening = 'done';
    },
  }),
};

/** `--drill`: rehearses a failover on a copy of the standby, while the standby goes its way. */
import { exitCodes, messageOf, PitrError, refusal } from '../../../../errors.ts';
import { showJson } from '../../../../status/show.ts';
import { systemClock } from '../../../../system/clock.ts';
import { withLocalSql } from '../../../../system/local-sql.ts';
import { isLocked } from '../../../../system/lock.ts';
import { notify } from '../../../../system/notify.ts';
import type { DrillOptions, StandbyDeps } from '../../../deps.ts';
import { checkDeeply } from '../../../drill/amcheck.ts';
import { type ArchiveView, makeView } from '../../../drill/archive-view.ts';
import type { CheckResult } from '../../../drill/check-results.ts';
import { depsOfCopy } from '../../../drill/copy-server.ts';
import { makeCopy, prepareCopy } from '../../../drill/make-copy.ts';
import { type NewBackups, withBackup } from '../../../drill/new-backup.ts';
import {
  directoriesOf,
  linkedDirectories,
  observeAgain,
  observeOrigin,
  type Origin,
} from '../../../drill/origin.ts';
import { checkPages } from '../../../drill/page-check.ts';
import { drillParameters } from '../../../drill/parameters.ts';
import {
  claimPlace,
  discard,
  type DrillPlace,
  drillPlace,
  hasNotedBackup,
  requirePlace,
} from '../../../drill/place.ts';
import { beModest, lowerOwnSession, sharedBuffers } from '../../../drill/politeness.ts';
import { type DrillReport, isFromBackup, recordDrill } from '../../../drill/record.ts';
import { bytesTaken, requireRoom } from '../../../drill/room.ts';
import { compareCounts, countRows, type RowCounts } from '../../../drill/row-counts.ts';
import { describeDrill } from '../../../drill/show.ts';
import { takeSnapshot } from '../../../drill/snapshot.ts';
import { checkSqlFile } from '../../../drill/sql-file.ts';
import { startStandbyAgain, stopStandby } from '../../../drill/stop-standby.ts';
import { watched } from '../../../drill/watch.ts';
import { actionLockPath, isRunningRefusal } from '../../../host/action-lock.ts';
import { noteHistory } from '../../../host/history.ts';
import { lookAtPrimary } from '../../../primary/liveness/liveness.ts';
import { isReplayPaused } from '../../../recovery/replayed.ts';
import { stopServerProgram } from '../../../server/local-server.ts';
import { serverOf } from '../../../server/server.ts';
import { observeServer } from '../../../server/server-state.ts';
import { comesTrue } from '../../../server/wait.ts';
import { timed } from '../phases.ts';
import type { Course, Drilling } from './drilling.ts';
import { neededSpace, sayPlan } from './dry-run.ts';
import { failureOf } from './failure.ts';
import { reportOf } from './report.ts';
import { openCopy, type Opened } from './run.ts';

/** Undoing must not be interrupted by the signal that made it necessary. */
function withoutAbort(deps: StandbyDeps): StandbyDeps {
  return { ...deps, ...systemClock(), signal: new AbortController().signal, withLocalSql };
}

async function askPrimary({ deps, course }: Drilling): Promise<void> {
  const atMs = deps.now();
  const look = await lookAtPrimary(deps, true);
  const isPrimary = look.liveness.kind === 'alive' && look.identity.inRecovery !== true;
  course.primary = { lsn: isPrimary ? look.identity.written : undefined, atMs };
}

/** The standby must have replayed what the copy has before their rows can be compared. */
const catchUpS = 30;

async function hasReplayed({ deps, origin }: Drilling, { replayed }: Opened): Promise<boolean> {
  // A delayed one will not have replayed it for hours, and one that is paused waits for its operator.
  const isHeld =
    deps.settings.recovery_min_apply_delay !== undefined ||
    (await isReplayPaused(origin.server, await observeServer(origin.server)));
  const limitS = isHeld ? 0 : catchUpS;
  return comesTrue(deps, limitS, async () => {
    const state = await observeServer(origin.server);
    return state.kind === 'recovering' && (state.replayed ?? 0n) >= (replayed.lsn ?? 0n);
  });
}

async function compareRows(
  drilling: Drilling,
  before: RowCounts,
  copy: RowCounts,
  opened: Opened,
): Promise<CheckResult> {
  if (typeof before === 'string') return compareCounts(before, before, before);
  if (!(await hasReplayed(drilling, opened)))
    return compareCounts(before, copy, 'it has not replayed as far as the copy');
  return compareCounts(before, copy, await countRows(drilling.origin.server, before));
}

/** The checks that need the copy's server. */
export async function checkOpen(drilling: Drilling, before: RowCounts, opened: Opened): Promise<void> {
  const { course, options } = drilling;
  const { server } = opened;
  const check = async (look: () => Promise<CheckResult>): Promise<void> => {
    course.checks.push(await look());
  };
  // A statement of drill_sql may write: the rows are counted before it runs.
  const copy = typeof before === 'string' ? before : await countRows(server, before);
  await check(() => checkSqlFile(server));
  await check(() => compareRows(drilling, before, copy, opened));
  await check(() => checkDeeply(server, options.deep));
}

/** A failed check fails the drill, after the others. */
async function checkAll(drilling: Drilling, before: RowCounts, opened: Opened): Promise<void> {
  const { deps, course } = drilling;
  const { server } = opened;
  await checkOpen(drilling, before, opened);
  await stopServerProgram(server);
  course.checks.push(await checkPages(deps, server.pgdata));
  const failures = course.checks.filter(({ result }) => result === 'failed');
  if (failures.length === 0) return;
  const isOfData = failures.some(({ name }) => name !== 'drill_sql');
  throw new PitrError(failures.map(({ name, detail }) => `${name}: ${detail}`).join('; '), {
    hint: isOfData
      ? 'The standby may have the same fault: then a new base backup (-B) replaces its files.'
      : 'Correct the statement, or find out why the data is not as it says.',
  });
}

async function rowsOfStandby({ origin, options }: Drilling): Promise<RowCounts> {
  if (options.target !== undefined) return 'the copy was recovered to a target';
  if (origin.state.kind !== 'recovering' || !origin.state.answers) return 'it answers no queries';
  return countRows(origin.server);
}

/** While the drill waited for the lock of the actions, a failover may have made it the primary. */
async function requireSame({ deps, place }: Drilling): Promise<void> {
  deps.signal.throwIfAborted();
  const { way } = await observeOrigin(deps, place, false);
  if (way !== 'stopped-for-it')
    throw new PitrError('another action has changed the standby before it could be stopped for its copy', {
      hint: 'Run the drill again.',
    });
}

/** Stops the standby for no longer than the copy takes, and starts it again however that ends. */
async function copyStopping(drilling: Drilling): Promise<void> {
  const { deps, origin, place, course, watched } = drilling;
  const own = withoutAbort(deps);
  const acting = async (use: () => Promise<void>): Promise<void> => {
    if (watched !== undefined) watched.isActing = true;
    await use();
    if (watched !== undefined) watched.isActing = false;
  };
  const beganMs = deps.monotonicMs();
  try {
    await acting(() => stopStandby(own, origin.server, place, () => requireSame(drilling)));
    await makeCopy(deps, await observeAgain(origin), place, true);
  } finally {
    await acting(() => startStandbyAgain(own, place));
    course.stoppedSeconds = (deps.monotonicMs() - beganMs) / 1000;
  }
}

/** @returns where the copy is */
async function copyBy(drilling: Drilling): Promise<DrillPlace> {
  const { deps, origin, place, options, newBackup } = drilling;
  if (origin.way === 'snapshot') return takeSnapshot(deps, origin, place);
  if (newBackup !== undefined) await newBackup.backups.make(deps, place, options.force);
  else if (origin.way === 'stopped-for-it') await copyStopping(drilling);
  else await makeCopy(deps, origin, place);
  return place;
}

interface Copied {
  readonly copy: StandbyDeps;
  readonly rowsBefore: RowCounts;
}

async function makeIt(drilling: Drilling, view: ArchiveView): Promise<Copied> {
  const { deps, origin, place } = drilling;
  const { bytes: announced, sharedBytes } = await neededSpace(drilling);
  drilling.course.announcedBytes = announced;
  if (drilling.watched !== undefined) drilling.watched.sharedBytes = sharedBytes;
  await requireRoom(deps, place, announced);
  const rowsBefore = await rowsOfStandby(drilling);
  const there = await copyBy(drilling);
  await view.complete();
  const parameters = new Map([
    ...drillParameters(origin.server.capabilities, { ...there, preload: deps.settings.drill_preload }),
    ...(await sharedBuffers(origin)),
  ]);
  await prepareCopy(deps, origin, there, parameters);
  return { copy: depsOfCopy(deps, there, parameters), rowsBefore };
}

async function rehearse(drilling: Drilling): Promise<void> {
  const { deps, origin, place, options, course } = drilling;
  const view = await makeView(deps, origin, place, drilling.newBackup !== undefined);
  try {
    const { copy, rowsBefore } = await timed(deps, course.phases, 'copy', () => makeIt(drilling, view));
    await askPrimary(drilling);
    await beModest(deps);
    const opened = await openCopy(copy, options.target, course.phases);
    course.opened = opened;
    await view.end();
    await timed(deps, course.phases, 'checks', () => checkAll(drilling, rowsBefore, opened));
    course.diskBytes = await bytesTaken(place.run, drilling.watched?.sharedBytes ?? 0);
  } finally {
    await view.end().catch((error: unknown) => {
      deps.log.debug(messageOf(error));
    });
  }
}

/** A failure is notified each time; success only after a failure. */
function notifyResult({ deps }: Drilling, report: DrillReport, wasGood: boolean): void {
  const isGood = report.result === 'passed';
  if (isGood && wasGood) return;
  const what = isFromBackup(report) ? 'the drill from a new base backup' : 'the drill';
  const message = isGood
    ? `${what} has passed again`
    : `${what} has failed: ${report.failure?.message ?? ''}`;
  notify(deps, deps.settings, {
    severity: isGood ? 'ok' : 'critical',
    name: 'drill',
    message,
    facts: { program: 'cmd_standby', standby: deps.hostName, result: report.result },
  });
}

async function conclude(drilling: Drilling, failure: PitrError | undefined): Promise<number> {
  const { deps, options, place } = drilling;
  const report = reportOf(drilling, failure);
  const before = await recordDrill(deps, place.directory, report);
  const { result, rtoSeconds, phases, replay, rpo } = report;
  await noteHistory(deps, {
    kind: 'drilled',
    result,
    phases,
    ...(options.fromBackup ? { from: 'new base backup' as const } : {}),
    ...(rtoSeconds === undefined ? {} : { rtoSeconds }),
    ...(replay === undefined ? {} : { replayedTo: replay.to }),
    ...(rpo.lastCommit === undefined ? {} : { lastCommit: rpo.lastCommit }),
    ...(failure === undefined ? {} : { reason: failure.message }),
  });
  if (options.json) showJson(report);
  else for (const line of describeDrill(report)) deps.report(line);
  notifyResult(drilling, report, before?.last.result !== 'failed');
  if (failure === undefined) return 0;
  const { detail, hint } = failure;
  deps.log.error(`the drill has failed: ${failure.message}`, { detail, hint });
  return exitCodes.failure;
}

/** The server of the standby is asked under the same signal. */
function withDeps(drilling: Drilling, deps: StandbyDeps): Drilling {
  const { origin } = drilling;
  return { ...drilling, deps, origin: { ...origin, server: serverOf(deps, origin.server.capabilities) } };
}

async function rehearseWatched(drilling: Drilling): Promise<void> {
  const { deps, origin, place, course } = drilling;
  await watched(deps, origin, place, async (own, seen) => {
    await rehearse({ ...withDeps(drilling, own), watched: seen });
    course.diskBytes = Math.max(seen.bytes, course.diskBytes ?? 0);
  });
}

/** Whatever ends the rehearsal, its copy is removed. */
function attempt(drilling: Drilling): Promise<PitrError | undefined> {
  const { deps, place } = drilling;
  return failureOf(
    deps,
    () => rehearseWatched(drilling),
    // The signal that has ended the drill must not keep its copy from being removed.
    () => discard(withoutAbort(deps), place),
  );
}

/** Refuses if no base backup can be made of the primary. */
async function lookAtBackup(
  deps: StandbyDeps,
  { fromBackup, force }: DrillOptions,
  place: DrillPlace,
  load: () => Promise<NewBackups>,
): Promise<Drilling['newBackup']> {
  if (!fromBackup) return undefined;
  const backups = await load();
  return { backups, facts: await backups.look(deps, place, force) };
}

async function observe(
  deps: StandbyDeps,
  place: DrillPlace,
  newBackup: Drilling['newBackup'],
): Promise<Origin> {
  const origin = await observeOrigin(deps, place, newBackup !== undefined);
  return newBackup === undefined ? origin : withBackup(origin, newBackup.facts);
}

/** @param load the steps of -B: no action imports another one */
export async function drill(
  deps: StandbyDeps,
  options: DrillOptions,
  load: () => Promise<NewBackups>,
): Promise<number> {
  const { drill_dir } = deps.settings;
  if (drill_dir === undefined) throw refusal('drill_dir is not set');
  if (await isLocked(deps.run, actionLockPath(deps))) throw isRunningRefusal(deps);
  const place = drillPlace(drill_dir);
  const found = await observeOrigin(deps, place, options.fromBackup);
  await requirePlace(deps, place, [
    ...directoriesOf(found),
    ...(await linkedDirectories(found.server.pgdata)),
  ]);
  const newBackup = await lookAtBackup(deps, options, place, load);
  const course: Course = { startedMs: deps.now(), phases: [], checks: [] };
  if (options.dryRun) {
    await sayPlan({ deps, options, origin: await observe(deps, place, newBackup), place, course, newBackup });
    return 0;
  }
  const lock = await claimPlace(deps, place);
  const restore = await lowerOwnSession(withoutAbort(deps));
  try {
    const own = { ...deps, lockFd: lock.fd };
    const began: Drilling = { deps: own, options, origin: found, place, course, newBackup };
    // A killed drill may have left the standby stopped: that it stays so must be notified.
    const left = await failureOf(own, () => discard(own, place));
    if (left !== undefined) return await conclude(began, left);
    if (await hasNotedBackup(place)) await (await load()).endLeft(own, place);
    // A killed drill may have left the standby stopped, and it runs again now.
    const origin = await observe(own, place, newBackup);
    const drilling = { ...began, origin };
    return await conclude(drilling, await attempt(drilling));
  } finally {
    await restore();
    await lock.release();
  }
}

import { join } from 'node:path';
import { PitrError } from '../../../../errors.ts';
import { formatLsn, parseLsn } from '../../../../postgres/lsn.ts';
import { describeResult, succeeded } from '../../../../system/command.ts';
import { programRoot } from '../../../../system/program-root.ts';
import { readSentinel } from '../../../../system/sentinel.ts';
import { readHistory } from '../../../archive/contents.ts';
import { keepAfterPromotion } from '../../../archive/keep/after-promotion.ts';
import { changeRecord } from '../../../host/backup-record/record.ts';
import { bringWalEnd } from '../../../peers/bring-wal.ts';
import { readControlFile } from '../../../server/data-directory.ts';
import { mustReach } from '../../../server/reach.ts';
import { mustAnswer, rowsOf } from '../../../server/server-state.ts';
import { closely, comesTrue } from '../../../server/wait.ts';
import type { SiblingFacts } from '../../../siblings/observe.ts';
import type { StepEntry, StepsOf } from '../../../steps/step-table.ts';
import { recordRole, takeRoleBack } from '../opening-steps.ts';
import { type LastQuestion, refuseIfLeft, seeNoRival } from '../rivals.ts';
import { failoverSteps } from '../steps.ts';
import { provenTimeline } from '../verify.ts';
import { requireFork } from './fork.ts';
import { resumePrimary, sayRoleTaken } from './resume.ts';
import { step, type SwitchoverRun } from './run.ts';
import { informPrimary, turnPrimary, turnSiblings } from './turn.ts';

/** A checkpoint of a busy server takes long. */
const prepareMs = 31 * 60_000;
const shortMs = 60_000;
/** The server there has its own limit, start_timeout, in the INI file of its host. */
const stopMs = 20 * 60_000;
const initMs = 5 * 60_000;

/** Undefined if the server does not say it, or is out of recovery. */
async function replayedHere({ server }: SwitchoverRun): Promise<bigint | undefined> {
  const { isInRecoveryFunction: asks, lastReplayLsnFunction: last } = server.capabilities;
  if (asks === undefined || last === undefined) return undefined;
  const rows = await rowsOf(server, `SELECT ${asks}() AS recovering, ${last}()::text AS replayed`);
  const { recovering, replayed } = rows?.[0] ?? {};
  return recovering === true && typeof replayed === 'string' ? parseLsn(replayed) : undefined;
}

async function mustReplay(run: SwitchoverRun, lsn: bigint, what: string, hint: string): Promise<void> {
  await mustReach(
    run,
    (state) => {
      if (state.kind === 'production') return 'it is out of recovery: it was promoted by other means';
      return state.kind === 'recovering' && state.replayed !== undefined && state.replayed >= lsn;
    },
    (detail) =>
      new PitrError(`the standby here does not replay ${what}, LSN ${formatLsn(lsn)}`, { detail, hint }),
  );
}

async function preparePrimary(run: SwitchoverRun, timeline: number): Promise<void> {
  const args = { timeline, cluster: run.systemIdentifier };
  const { lsn } = await run.peer.call('prepare-switchover', args, prepareMs);
  run.drainTo = parseLsn(lsn);
}

async function initArchiver({ server: { deps } }: SwitchoverRun, iniFile: string): Promise<void> {
  const program = join(programRoot(), 'bin', 'cmd_archiver');
  const result = await deps.run({ program, args: ['-C', iniFile, '-I'] }, { limitMs: initMs });
  if (succeeded(result)) return;
  throw new PitrError(`cmd_archiver -C ${iniFile} -I fails on this host`, {
    detail: describeResult(result),
    hint: 'Run it by hand, and correct what it says.',
  });
}

async function restartpoint(run: SwitchoverRun, timeline: number): Promise<void> {
  const { server } = run;
  await mustAnswer(server, 'cannot make a restartpoint', (sql) => sql('CHECKPOINT'), prepareMs);
  const control = await readControlFile(server.pgdata);
  // WAL of a later timeline may have been replayed without a checkpoint of it.
  const found = Math.max(control?.timeline ?? 0, control?.progress?.minRecoveryTimeline ?? 0);
  if (found === timeline) return;
  if (found > timeline) run.isRoleTaken = true;
  throw new PitrError(
    `the standby here has replayed timeline ${found}, and the primary writes timeline ${timeline}`,
    { hint: 'This standby does not follow that primary. Make a new base backup: -B' },
  );
}

const lookMs = 200;

/** Clients that are still in a transaction afterwards are ended by the stop. */
async function awaitTransactions(run: SwitchoverRun, graceS: number): Promise<void> {
  const { server, peer, systemIdentifier } = run;
  const { deps } = server;
  const endMs = deps.monotonicMs() + graceS * 1000;
  for (;;) {
    const { count } = await peer.call('open-transactions', { cluster: systemIdentifier }, shortMs);
    if (count === 0) return;
    if (deps.monotonicMs() >= endMs) {
      deps.log.notice(
        `${count} transactions of the primary are still open after ${graceS} s: they are ended`,
      );
      return;
    }
    await deps.pause(lookMs);
  }
}

function stopArguments(
  { publicName: host, systemIdentifier: cluster, token }: SwitchoverRun,
  timeline: number,
) {
  return { timeline, host, cluster, token };
}

/** Nothing has started the old primary since its stop, and no other run has stopped it. */
async function seePrimaryStopped(run: SwitchoverRun, timeline: number): Promise<void> {
  const { shutdown } = await run.peer.call('stop-primary', stopArguments(run, timeline), stopMs);
  const { checkpoint, end } = shutdown;
  if (checkpoint === run.shutdown?.checkpoint && end === run.shutdown.end) return;
  throw new PitrError(
    `the old primary on ${run.peer.host} was started after its stop: its WAL ends at ${end} now, not at ${run.shutdown?.end ?? 'the same location'}`,
    { hint: 'Find what starts it there, and keep it from doing so; then run --switchover again.' },
  );
}

async function stopPrimary(run: SwitchoverRun, timeline: number): Promise<void> {
  const { deps } = run.server;
  await run.peer.keepAnswerer();
  run.moments.stopping = deps.monotonicMs();
  run.primary = 'unknown';
  const { shutdown } = await run.peer.call('stop-primary', stopArguments(run, timeline), stopMs);
  run.primary = 'stopped';
  run.moments.stopped = deps.monotonicMs();
  if (shutdown.timeline !== timeline)
    throw new PitrError(`the old primary was on timeline ${shutdown.timeline}, not on ${timeline}`);
  run.shutdown = shutdown;
}

function endOf({ shutdown }: SwitchoverRun): bigint {
  if (shutdown === undefined) throw new Error('the old primary was not stopped');
  return parseLsn(shutdown.end);
}

/** A primary that is being stopped sends all its WAL to those who stream, but it waits only for so long. */
const streamedWithinS = 2;

async function bringWal(run: SwitchoverRun, streams: boolean): Promise<void> {
  const { server, peer, facts, shutdown, systemIdentifier } = run;
  const end = endOf(run);
  const hasAll = async () => ((await replayedHere(run)) ?? 0n) >= end;
  const comes = () => comesTrue(server.deps, streamedWithinS, hasAll, closely);
  if (await (streams ? comes() : hasAll())) {
    run.hasReplayedEnd = true;
    return;
  }
  const replayed = await replayedHere(run);
  if (replayed === undefined || facts === undefined || shutdown === undefined || peer.shell === undefined)
    throw new PitrError('the standby here does not say how far it has replayed');
  const { walDirectory: directory, segmentSize } = facts;
  const wal = { shutdown, directory, systemIdentifier, segmentSize };
  const names = await bringWalEnd(server, peer.shell, replayed, wal);
  server.deps.log.notice(`brought from ${peer.host} into pg_wal: ${names.join(', ')}`);
}

interface RoleQuestion extends LastQuestion {
  /** The timeline that this host leaves by its promotion. */
  readonly timeline: number;
}

/**
 * Another server may have been promoted since the first question: -F999 on another standby finds the old primary dead. This
 * host's record says by now that a promotion is under way here, so of two runs at least one sees the other.
 */
async function seeRoleFree(run: SwitchoverRun, { timeline, ...question }: RoleQuestion): Promise<void> {
  const { deps } = run.server;
  const marks = (await readSentinel(deps.settings.archivedir))?.left ?? [];
  try {
    refuseIfLeft(marks, timeline);
    await seeNoRival(run, question);
  } catch (error) {
    deps.signal.throwIfAborted();
    run.isRoleTaken = true;
    throw error;
  }
}

async function seeFork(run: SwitchoverRun): Promise<void> {
  const { server, shutdown } = run;
  const timeline = await provenTimeline(run);
  const history = await readHistory(join(server.pgdata, server.capabilities.walDirName), timeline);
  run.moments.open = server.deps.monotonicMs();
  if (shutdown === undefined) throw new Error('the old primary was not stopped');
  requireFork(history?.at(-1), shutdown);
}

function sayTurn(
  { siblings: { siblings } }: { readonly siblings: SiblingFacts },
  { publicName, stoppedBefore }: SwitchoverRun,
): string {
  const names = siblings.map(({ target }) => target.name);
  const stopped = names.filter((name) => stoppedBefore.includes(name));
  const others = names.filter((name) => !stoppedBefore.includes(name));
  return [
    ...(others.length === 0 ? [] : [`${others.join(', ')}: follow ${publicName}, and be seen following it`]),
    ...(stopped.length === 0 ? [] : [`${stopped.join(', ')}: stopped now, and left so`]),
  ].join('; ');
}

interface Ending {
  readonly host: string;
  readonly timeline: number;
}

const ownSteps = {
  'prepare-primary': step<{ readonly timeline: number }>({
    say: (_, { peer }) =>
      `${peer.host}: make the archive that it will have as a standby, make a checkpoint, and end the segment`,
    run: (run, { timeline }) => preparePrimary(run, timeline),
  }),
  /** After the step before: it looks for the archive there. */
  'init-archiver': step<{ readonly iniFile: string }>({
    say: ({ iniFile }) => `set up cmd_archiver: cmd_archiver -C ${iniFile} -I`,
    run: (run, { iniFile }) => initArchiver(run, iniFile),
  }),
  drain: step({
    say: () => 'wait until the standby has replayed what the primary had written until then',
    run: (run) =>
      mustReplay(
        run,
        run.drainTo ?? 0n,
        'what the primary has written',
        'The primary was not stopped. Its WAL does not arrive here: cmd_archiver --flush on the primary says why.',
      ),
    leavesNothing: true,
  }),
  restartpoint: step<{ readonly timeline: number }>({
    say: ({ timeline }) => `make a restartpoint, and see that it is of timeline ${timeline}`,
    run: (run, { timeline }) => restartpoint(run, timeline),
    leavesNothing: true,
  }),
  'await-transactions': step<{ readonly graceS: number }>({
    say: ({ graceS }, { peer }) => `${peer.host}: wait at most ${graceS} s until no transaction is open`,
    run: (run, { graceS }) => awaitTransactions(run, graceS),
    leavesNothing: true,
  }),
  /** Before the primary is stopped: a later run finishes what this one began. */
  'record-switchover': step<Ending>({
    say: () => 'record that the switchover has begun',
    run: ({ server, token, opening, stoppedBefore }, { host, timeline }) =>
      changeRecord(server.pgdata, {
        switchover: { primary: host, timeline, token, stopped: stoppedBefore },
        // Nothing that an earlier run has begun can open the server here.
        ...(opening === 'not begun' ? { takesRole: undefined, promotion: undefined } : {}),
      }),
    undo: async ({ server, primary, begun }) => {
      // Its token is the one of that stop.
      if (primary === 'held' && begun !== undefined) await changeRecord(server.pgdata, { switchover: begun });
      // If the primary could not be started again, the next run has to look at it.
      if (primary === 'running' || primary === 'not-ours')
        await changeRecord(server.pgdata, { switchover: undefined });
    },
    leavesNothing: true,
  }),
  'stop-primary': step<Ending>({
    say: (_, { peer }) =>
      `${peer.host}: stop the server fast (its clients are disconnected), see in its pg_control that it was shut down, and let it start as a standby only`,
    run: (run, { timeline }) => stopPrimary(run, timeline),
    undo: async (run, { timeline }) => {
      if (run.opening !== 'not begun' || run.primary === 'running') return;
      if (run.isRoleTaken === true) sayRoleTaken(run);
      else await resumePrimary(run, timeline);
    },
  }),
  'bring-wal': step<{ readonly streams: boolean }>({
    say: (_, { peer }) =>
      `bring the end of its WAL from ${peer.host} into pg_wal, unless it has come already`,
    run: (run, { streams }) => bringWal(run, streams),
    leavesNothing: true,
  }),
  'see-end-replayed': step({
    say: () => 'wait until the standby has replayed the end of that WAL: the record of the shutdown',
    run: async (run) => {
      const hint = 'It has not been promoted. Its server log shows the reason.';
      if (run.hasReplayedEnd !== true)
        await mustReplay(run, endOf(run), "the end of the old primary's WAL", hint);
      run.moments.replayed = run.server.deps.monotonicMs();
    },
    leavesNothing: true,
  }),
  'record-end': step<Ending>({
    say: () => "record that this host takes the primary's role",
    run: async (run, { host, timeline }) => {
      const end = formatLsn(endOf(run));
      const switchover = { primary: host, timeline, token: run.token, stopped: run.stoppedBefore, end };
      await recordRole(run, { switchover, takesRole: true });
    },
    undo: (run, { host, timeline }) =>
      takeRoleBack(run, {
        switchover: { primary: host, timeline, token: run.token, stopped: run.stoppedBefore },
      }),
    leavesNothing: true,
  }),
  /** After 'record-end', which the other standbys see. */
  'see-role-free': step<RoleQuestion>({
    say: () => 'ask once more whether another server has taken the role',
    run: seeRoleFree,
    leavesNothing: true,
  }),
  /** The last step before the promotion. */
  'see-primary-stopped': step<Ending>({
    say: (_, { peer }) => `${peer.host}: see that the old primary has not been started meanwhile`,
    run: async (run, { timeline }) => {
      run.restartpointLsn = (await readControlFile(run.server.pgdata))?.redoLsn;
      await seePrimaryStopped(run, timeline);
    },
    leavesNothing: true,
  }),
  'see-fork': step({
    say: () => "see that the new timeline begins at the end of the old primary's WAL",
    run: seeFork,
  }),
  'declare-left': step<{ readonly siblings: SiblingFacts }>({
    ...failoverSteps['declare-left'],
    say: (planned, run) => `${failoverSteps['declare-left'].say(planned, run)}; and inform ${run.peer.host}`,
    run: async (run, planned) => {
      await failoverSteps['declare-left'].run(run, planned);
      await informPrimary(run);
    },
  }),
  'keep-streamed': step<{ readonly redoLsn: bigint | undefined }>({
    ...failoverSteps['keep-streamed'],
    // The switchover's own restartpoint has removed WAL that the standby needed when it was planned.
    run: ({ server, restartpointLsn }, { redoLsn }) => keepAfterPromotion(server, restartpointLsn ?? redoLsn),
  }),
  'become-standby': step({
    say: (_, { peer, publicName }) =>
      `${peer.host}: become a standby of ${publicName}, and be seen following it`,
    run: turnPrimary,
  }),
  'follow-siblings': step<{ readonly siblings: SiblingFacts }>({
    say: sayTurn,
    run: (run, { siblings }) => turnSiblings(run, siblings),
  }),
  'finish-switchover': step({
    say: () => 'record that the switchover is finished',
    run: async ({ server, actionFailure, turned }) => {
      // The next run repeats what has failed.
      const isAllTurned = turned.every(({ result }) => result.kind !== 'failed');
      if (actionFailure === undefined && isAllTurned)
        await changeRecord(server.pgdata, { switchover: undefined });
    },
  }),
};

type Named<T> = { readonly [K in keyof T]: T[K] };

/** Their own text begins with the host. */
const isElsewhere: ReadonlySet<string> = new Set([
  'prepare-primary',
  'await-transactions',
  'stop-primary',
  'see-primary-stopped',
  'become-standby',
  'follow-siblings',
]);

/** The plan shows the host of each step; those of a failover happen here. */
function onHost<T extends Readonly<Record<string, StepEntry<never, never>>>>(table: T): Named<T> {
  const named = Object.entries(table).map(([kind, entry]) => {
    const say = (planned: never, run: never): string => {
      const { publicName } = run as SwitchoverRun;
      const text = entry.say(planned, run);
      return isElsewhere.has(kind) ? text : `${publicName}: ${text}`;
    };
    return [kind, { ...entry, say }] as const;
  });
  // Only `say` was replaced, by a function of the same type.
  return Object.fromEntries(named) as unknown as T;
}

export const switchoverSteps = onHost({ ...failoverSteps, ...ownSteps });

export type SwitchoverStep = StepsOf<typeof failoverSteps> | StepsOf<typeof ownSteps>;

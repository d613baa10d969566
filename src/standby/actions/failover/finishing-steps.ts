/** The steps after the server is out of recovery. The failover has happened by then, even if one of them fails. */
import { archiveCallOf } from '../../../config/archive-command.ts';
import { messageOf, PitrError } from '../../../errors.ts';
import { updateSentinel } from '../../../system/sentinel.ts';
import {
  fitSlotAfterPromotion,
  keepAfterPromotion,
  saveStreamed,
} from '../../archive/keep/after-promotion.ts';
import type { ArchivedEnd } from '../../archive/replay-check.ts';
import { promotingAction, type StandbyDeps } from '../../deps.ts';
import { changeRecord, type OwnSlot, readRecord } from '../../host/backup-record/record.ts';
import { commandToNote } from '../../host/own-command.ts';
import { clearRecoverySettings } from '../../recovery/files.ts';
import { removeGuard } from '../../recovery/guard.ts';
import { askReplayed } from '../../recovery/replayed.ts';
import { askServer, warnOfArchiving } from '../../server/own-archiving.ts';
import type { Server } from '../../server/server.ts';
import { informSiblings, withKnown } from '../../siblings/inform.ts';
import { type SiblingFacts, withAnswers } from '../../siblings/observe.ts';
import { leaveOwnSlots } from '../../slot/left-slots.ts';
import type { StepEntry } from '../../steps/step-table.ts';
import { runAction, type SiteAction } from './action.ts';
import { seeAllReplayed } from './all-replayed.ts';
import { archiveHistory, setAsideLastSegment } from './last-segment.ts';
import type { Archiving } from './report.ts';
import { declareLeft } from './role.ts';
import { explained, type FailoverRun } from './run.ts';
import { notInformedWords } from './sibling-words.ts';
import { type FailoverConf, type PromotedStart, startPromoted, useFailoverConf } from './use-conf.ts';
import { provenTimeline, verifyWrite } from './verify.ts';

export function finishHint(deps: StandbyDeps): string {
  return `The server here is out of recovery. Run ${promotingAction(deps)} again to complete the remaining steps.`;
}

/** Once the server is open, a failure must not read as if nothing had happened. */
function afterwards({ message, detail, hint, cause }: PitrError, { server }: FailoverRun): PitrError {
  // On the copy of a drill, nothing has happened.
  if (server.deps.calledAs === '--drill') return new PitrError(message, { detail, hint, cause });
  return new PitrError(`the failover has happened, but was not finished: ${message}`, {
    detail,
    hint: hint ?? finishHint(server.deps),
    cause,
  });
}

function afterOpening<P = unknown>(entry: StepEntry<P, FailoverRun>): StepEntry<P, FailoverRun> {
  return explained(entry, afterwards);
}

/** A full or missing archive must not prevent the remaining steps. */
async function markArchive({ server: { deps }, timeline }: FailoverRun): Promise<void> {
  const { archivedir } = deps.settings;
  try {
    await updateSentinel(deps.run, archivedir, (sentinel) => {
      if (sentinel === undefined) throw new PitrError('it has no sentinel');
      return { ...sentinel, command: commandToNote(sentinel.command, deps), promotedAtTimeline: timeline };
    });
  } catch (error) {
    deps.log.warning(
      `archivedir "${archivedir}" cannot be marked as promoted (${messageOf(error)}): make sure that the old primary cannot deliver there`,
    );
  }
}

async function informOthers(
  run: FailoverRun,
  { siblings: { list, siblings, comparison } }: { readonly siblings: SiblingFacts },
): Promise<void> {
  const marks = run.left?.marks ?? [];
  if (list?.kind !== 'known' || marks.length === 0) return;
  const { deps } = run.server;
  const answers = withAnswers(siblings, run.returned);
  const informed = await informSiblings(deps, list.archiver, answers, marks);
  run.informed = informed.map((each) => withKnown(each, comparison));
  for (const informed of run.informed)
    if (informed.kind === 'not-informed') deps.log.warning(notInformedWords(informed, run.left?.problem));
}

function describeConf({ files, mustRestart }: FailoverConf): string {
  const what = files.map(({ key, from }) => `${from} (${key})`).join(' and ');
  return `put ${what} into force, by ${mustRestart ? 'restart' : 'reload, or by restart where a setting needs one'}`;
}

/** Warns if the promoted server cannot archive, or would ship its WAL to itself: WAL would pile up, or be refused forever. */
async function checkArchiving(server: Server): Promise<Archiving> {
  const { deps } = server;
  const answer = await askServer(server);
  if (answer.kind === 'unknown') return answer;
  const { archiveMode, archiveCommand, archiveLibrary } = answer.archiving;
  if (archiveMode === 'off' || (archiveCommand === '' && archiveLibrary === '')) {
    deps.log.warning('this server archives nothing: its own standbys need archive_mode and archive_command');
    return { kind: 'nothing' };
  }
  await warnOfArchiving(deps, answer.archiving);
  const ini = archiveLibrary === '' ? archiveCallOf(archiveCommand)?.iniFile : undefined;
  return { kind: 'command', ini };
}

async function recordOpening({ pgdata }: Server, timeline: number | undefined): Promise<void> {
  const { takesRole } = await readRecord(pgdata);
  await changeRecord(pgdata, {
    promotedAtTimeline: timeline,
    isFailoverUnfinished: true,
    // A server that was opened only to look at something is not what a switchover that was begun here wanted.
    ...(takesRole === true ? {} : { switchover: undefined }),
  });
}

async function recordPromotion({ server, timeline, actionFailure }: FailoverRun): Promise<void> {
  await removeGuard(server.pgdata);
  await changeRecord(server.pgdata, {
    promotedAtTimeline: timeline,
    isFailoverUnfinished: undefined,
    takesRole: undefined,
    isFenceBegun: undefined,
    promotion: undefined,
    // The server is a primary again: no switchover waits for its stop.
    stoppedFor: undefined,
    // The other standbys stream by them now.
    slotsForOthers: undefined,
    isActionBegun: actionFailure === undefined ? undefined : true,
  });
}

export const finishingSteps = {
  /** Starts a server that ended before its failover was finished. */
  'start-promoted': afterOpening<PromotedStart>({
    say: ({ configuration }) =>
      `start the server, which is promoted already, with ${configuration.configFile}`,
    run: ({ server }, start) => startPromoted(server, start),
  }),
  'set-aside-last-segment': afterOpening({
    say: () =>
      'keep the unfinished last segment of the old timeline from being archived under the name of a complete segment',
    run: async (run) => setAsideLastSegment(run.server, await provenTimeline(run)),
  }),
  'verify-write': afterOpening({
    say: () => 'verify that it takes a write',
    run: async (run) => {
      run.timeline = await verifyWrite(run.server);
      run.replayed ??= await askReplayed(run.server);
    },
  }),
  'record-opening': afterOpening({
    say: () => 'record that the server is out of recovery, and that the failover is not finished yet',
    run: ({ server, timeline }) => recordOpening(server, timeline),
  }),
  'mark-archive': afterOpening({
    say: () => 'mark the archive as promoted, so that the old primary delivers nothing there any more',
    run: markArchive,
  }),
  /** A production server does not use the user's own delay, but the standby that it may become again does. */
  'clear-settings': afterOpening({
    say: () => 'remove our recovery settings',
    run: ({ server }) => clearRecoverySettings(server),
  }),
  'see-all-replayed': afterOpening<{ readonly end: ArchivedEnd; readonly isAccepted: boolean }>({
    say: ({ end }) => `check that the archived WAL was replayed, up to ${end.last.text}`,
    run: async (run, { end, isAccepted }) => {
      run.archiveEnd = await seeAllReplayed(run.server, end, await provenTimeline(run), isAccepted);
    },
  }),
  'declare-left': afterOpening<{ readonly siblings: SiblingFacts }>({
    say: ({ siblings }) =>
      siblings.list?.kind === 'known'
        ? `declare the old timeline left, in "${siblings.list.archiver.l_archivedir}": this host's cmd_archiver informs each standby of it before it delivers`
        : 'declare the old timeline left, in the archive of this host alone',
    run: async (run, { siblings }) => {
      run.left = await declareLeft(run.server, await provenTimeline(run), siblings);
    },
  }),
  'inform-siblings': afterOpening<{ readonly siblings: SiblingFacts }>({
    say: ({ siblings }) => {
      const names = siblings.siblings.map(({ target, answer }) =>
        answer.kind === 'answered' ? target.name : `${target.name} (which could not be asked)`,
      );
      return `inform the other standbys that the old timeline was left: ${names.join(', ')}`;
    },
    run: informOthers,
  }),
  'use-failover-conf': afterOpening<{ readonly conf: FailoverConf }>({
    say: ({ conf }) => describeConf(conf),
    run: async (run, { conf }) => {
      // After a restart, or with another configuration, the server must prove again that it takes writes.
      run.timeline = undefined;
      await fitSlotAfterPromotion(run.server, conf.configuration);
      await useFailoverConf(run.server, conf);
    },
  }),
  'archive-history': afterOpening({
    say: () => 'mark the history file of the new timeline for archiving, unless the server has done so',
    run: async (run) => archiveHistory(run.server, await provenTimeline(run)),
  }),
  'check-archiving': afterOpening({
    say: () => 'check where the promoted server would archive to',
    run: async (run) => {
      run.archiving = await checkArchiving(run.server);
    },
  }),
  'run-action': afterOpening<SiteAction>({
    say: ({ command, isRepeated }) => `run action_failover${isRepeated ? ' again' : ''}: ${command}`,
    run: runAction,
  }),
  'save-streamed': afterOpening<{ readonly redoLsn: bigint }>({
    say: () =>
      'copy WAL that only streaming had brought from pg_wal to archivedir for a few seconds, because no slot keeps it',
    run: ({ server }, { redoLsn }) => saveStreamed(server, redoLsn),
  }),
  'keep-streamed': afterOpening<{ readonly redoLsn: bigint | undefined }>({
    say: () => 'copy WAL that only streaming had brought from pg_wal to archivedir',
    run: ({ server }, { redoLsn }) => keepAfterPromotion(server, redoLsn),
  }),
  'leave-slots': afterOpening<{ readonly slots: readonly OwnSlot[]; readonly isAsked: boolean }>({
    say: ({ slots, isAsked }) =>
      `drop the replication slots by which this standby has streamed${isAsked ? '' : ' (the old primary does so when it becomes a standby)'}: ${slots.map(({ name, host }) => `"${name}" on ${host}`).join(', ')}`,
    run: ({ server }, { slots, isAsked }) => leaveOwnSlots(server, slots, isAsked),
  }),
  'record-promotion': afterOpening({
    say: () => 'record that the failover is finished',
    run: recordPromotion,
  }),
};

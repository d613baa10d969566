import { describeLeft, formatLeft, type LeftTimeline, withLeft } from '../../../postgres/left-timeline.ts';
import { dropSlotSql, findSlot } from '../../../postgres/stream-slot.ts';
import type { WalName } from '../../../postgres/wal-name.ts';
import { ensureDirectory } from '../../../system/durable.ts';
import { isStillThere, type Sentinel, updateSentinel } from '../../../system/sentinel.ts';
import { describeWithdrawal, withdrawOwnMarks } from '../../host/own-marks.ts';
import { readRemoteControl } from '../../primary/primary.ts';
import { ensureSlot } from '../../slot/there.ts';
import type { StepsOf } from '../../steps/step-table.ts';
import { comparisonFor } from './copy/comparison.ts';
import { copyFiles } from './copy/copy-files.ts';
import { planCopy } from './copy/plan-copy.ts';
import { prepareTargets } from './copy/prepare-target.ts';
import { type BackupFacts, describeCopied } from './facts.ts';
import { abandonBackup, endLeftover, startBackup, stopBackup } from './on-primary/primary-backup.ts';
import { refuseNewTablespaces } from './on-primary/tablespaces-meanwhile.ts';
import { cleanSettings, copyConfiguration } from './pgdata/configuration.ts';
import { flushCopy } from './pgdata/flush.ts';
import { bringHistory } from './pgdata/history.ts';
import {
  type Before,
  emptyWal,
  linkTablespaces,
  markCopying,
  putControlInPlace,
  readBefore,
  unmarkCopying,
  writeLabelFiles,
} from './pgdata/pgdata-files.ts';
import { type BackupRun, finalRecord, giving, recordOf, resultOf, step } from './results.ts';
import { awaitSource, requireOneTimeline } from './source/await-source.ts';
import { copyPrimarysFiles } from './source/own-files.ts';
import { receivingSteps } from './streaming/steps.ts';
import { verifyStep } from './verify-step.ts';
import { moveOlder, putBack, setAside } from './wal/set-aside.ts';
import { awaitWal, proveWal } from './wal/wait-for-wal.ts';

interface SentinelChange {
  readonly sentinel: Sentinel;
  readonly previous: Sentinel;
  /** A mark that is taken back. */
  readonly followed: LeftTimeline | undefined;
}

async function takeSentinelBack(
  { deps, facts, state, results }: BackupRun,
  { previous, followed }: SentinelChange,
): Promise<void> {
  const { archivedir } = facts.place;
  const written = results['write-sentinel'];
  // The archive stays prepared once the copy has begun, because pgdata then follows the new history.
  if (written === undefined || state.isCopyBegun) return;
  if (await isStillThere(archivedir, written))
    await updateSentinel(deps.run, archivedir, (now) => {
      const left = now?.left ?? previous.left;
      return { ...previous, left: followed === undefined ? left : withLeft(left, followed) };
    });
  else {
    deps.log.warning(
      `"${archivedir}" is not the directory whose sentinel this backup changed, or it has another sentinel now: it stays unchanged`,
    );
  }
}

async function unmark({ deps, facts, state, results }: BackupRun): Promise<void> {
  const { pgdata } = facts.place;
  const before = results['mark-copying'];
  if (state.isCopyBegun) {
    deps.log.warning(
      `the copy in ${pgdata} is not complete, and no server can start on it until -B has succeeded`,
    );
  } else if (before !== undefined) await unmarkCopying(pgdata, before);
}

async function putNamesBack({ facts, state, results }: BackupRun): Promise<void> {
  const moved = results['set-aside'];
  if (moved !== undefined && !state.isCopyBegun) await putBack(facts.place.archivedir, moved);
}

function wasThere({ slot }: BackupFacts, name: string): boolean {
  return slot.kind === 'asked' && findSlot(slot.there, name) !== undefined;
}

async function mark(run: BackupRun): Promise<Before> {
  const before = await readBefore(run.facts.place.pgdata);
  // An undo needs this even if only a part was marked.
  run.results['mark-copying'] = before;
  await markCopying(run.facts, recordOf(run), before);
  return before;
}

/**
 * All kinds of steps of a base backup. Before the copy begins, each step can be undone or leaves only harmless traces:
 * a switched segment, a backup that has ended.
 */
export const backupSteps = {
  ...receivingSteps,
  'write-sentinel': giving<'write-sentinel', SentinelChange>('write-sentinel', {
    say: ({ sentinel, followed }, { facts }) => {
      const back = followed === undefined ? '' : `, and take back that ${describeLeft(followed)}`;
      return `mark "${facts.place.archivedir}" as the archive of cluster ${sentinel.systemIdentifier}${back}`;
    },
    // Another timeline may have been left since the sentinel was observed.
    run: ({ deps, facts }, { sentinel, followed }) =>
      updateSentinel(deps.run, facts.place.archivedir, (now) => {
        const left = (now?.left ?? sentinel.left).filter(
          (mark) => followed === undefined || formatLeft(mark) !== formatLeft(followed),
        );
        return { ...sentinel, left };
      }),
    undo: takeSentinelBack,
    leavesNothing: true,
  }),
  'set-aside': giving<'set-aside', { readonly names: readonly WalName[] }>('set-aside', {
    say: ({ names }, { facts }) =>
      `move ${names.length} files of another history aside in "${facts.place.archivedir}"`,
    run: (run, { names }) => setAside(run, names),
    undo: putNamesBack,
    leavesNothing: true,
  }),
  /** After 'mark-copying', which notes it. */
  'make-slot': giving<'make-slot', { readonly name: string }>('make-slot', {
    say: ({ name }) => `have replication slot "${name}" on the primary, which keeps WAL for this standby`,
    run: ({ primary }, { name }) => ensureSlot(primary.query, primary.facts.capabilities, name),
    undo: async ({ primary, facts, results }, { name }) => {
      const made = results['make-slot'];
      // If the answer was not seen, the server may have made it all the same.
      const isOurs = made === undefined ? !wasThere(facts, name) : made !== 'present';
      // No standby streams by one that a killed base backup has made.
      const isNobodys = made === 'present' && facts.record.backup?.status === 'copying';
      if (!isOurs && !isNobodys) return;
      const query = primary.lost.aborted ? primary.queryAside : primary.queryToUndo;
      await query(dropSlotSql(name));
    },
    leavesNothing: true,
  }),
  'prove-wal': step({
    say: (_step, { facts }) =>
      `prove that WAL arrives: switch a segment on the primary and wait for it in "${facts.place.archivedir}"`,
    run: proveWal,
    leavesNothing: true,
  }),
  'end-leftover': step<{ readonly label: string }>({
    say: ({ label }) => `end the backup "${label}" that an earlier run left on the primary`,
    run: (run, { label }) => endLeftover(run, label),
    leavesNothing: true,
  }),
  'start-backup': giving('start-backup', {
    say: (_step, { facts }) => `begin a backup on the primary with the label "${facts.label}"`,
    run: async (run) => {
      const record = await startBackup(run, run.state);
      await refuseNewTablespaces(run);
      return record;
    },
    undo: (run) => abandonBackup(run, run.state),
    leavesNothing: true,
  }),
  'await-source': step({
    say: (_step, { facts }) =>
      `wait until everything from before the backup is on the disk of ${facts.source?.host ?? ''}`,
    run: (run) => awaitSource(run, resultOf(run, 'start-backup')),
    leavesNothing: true,
  }),
  'plan-copy': giving('plan-copy', {
    say: () =>
      'list the files to copy, and make sure that they can be read there and that there is enough space here',
    run: planCopy,
    leavesNothing: true,
  }),
  'mark-copying': giving('mark-copying', {
    say: (_step, { facts }) =>
      `make it impossible for a server to start on "${facts.place.pgdata}" until the copy is complete`,
    run: mark,
    undo: unmark,
    leavesNothing: true,
  }),
  'prepare-targets': step({
    say: (_step, { facts }) => `remove entries from "${facts.place.pgdata}" that the primary does not have`,
    run: async (run) => {
      const { roots } = resultOf(run, 'plan-copy');
      // While the directories are made, pgdata is still unchanged.
      for (const { target } of roots) await ensureDirectory(target);
      run.state.isCopyBegun = true;
      await prepareTargets(run, roots);
    },
  }),
  'copy-files': giving('copy-files', {
    say: (_step, { facts }) => {
      const how = comparisonFor(facts) === 'contents' ? ', comparing every byte' : '';
      return `copy ${describeCopied(facts)}${how}, and check that every file is here`;
    },
    run: async (run) => {
      const copy = await copyFiles(run, resultOf(run, 'plan-copy'), run.beganMs);
      await emptyWal(run);
      await bringHistory(run);
      return { copy };
    },
  }),
  'check-source': step({
    say: (_step, { facts }) =>
      `check that ${facts.source?.host ?? ''} still follows the primary; copy the primary's own files`,
    run: async (run) => {
      await requireOneTimeline(run, resultOf(run, 'start-backup').timeline);
      await copyPrimarysFiles(run);
    },
  }),
  'link-tablespaces': step({
    say: (_step, { facts: { place } }) =>
      `link ${place.targets.length} tablespaces in "${place.pgdata}/pg_tblspc"`,
    run: ({ facts }) => linkTablespaces(facts.place),
  }),
  'copy-configuration': step({
    say: (_step, { facts }) =>
      `copy the primary's ${facts.missingConfiguration.map(({ name }) => name).join(', ')}, since there is none here`,
    run: (run) => copyConfiguration(run, run.facts.missingConfiguration),
  }),
  'fetch-control': giving('fetch-control', {
    say: () => 'read pg_control of the primary and check it',
    // After all other files and before the backup ends, as the manual requires.
    run: async ({ primary }) => {
      const { bytes } = await readRemoteControl(primary.shell, primary.facts.dataDirectory);
      return { control: bytes };
    },
  }),
  verify: giving('verify', {
    say: () => 'check every page of the copy by its checksum',
    run: async (run) => {
      const { control } = resultOf(run, 'fetch-control');
      return { verified: await verifyStep(run, control, resultOf(run, 'start-backup')) };
    },
  }),
  'stop-backup': giving('stop-backup', {
    say: () => 'end the backup on the primary',
    run: (run) => stopBackup(run, run.state),
  }),
  'write-label': step({
    say: (_step, { facts }) => `write backup_label to "${facts.place.pgdata}"`,
    run: (run) => writeLabelFiles(run.facts, resultOf(run, 'stop-backup')),
  }),
  'clean-settings': step({
    say: () => "remove the primary's own recovery settings from the copy",
    run: cleanSettings,
  }),
  flush: step({
    say: () => 'flush the copy to the disk',
    run: (run) => flushCopy(run),
  }),
  'await-wal': step({
    say: (_step, { facts }) => `wait until all WAL of the backup is in "${facts.place.archivedir}"`,
    run: (run) => {
      const { label } = resultOf(run, 'stop-backup', 'receive');
      return awaitWal(run, label.startSegment, resultOf(run, 'stop-backup', 'await-stop').stopLsn);
    },
  }),
  /** No way leads back to the primary that it was, and no server can start before the end. */
  'withdraw-marks': step<{ readonly directory: string }>({
    say: ({ directory }) => describeWithdrawal(directory),
    run: ({ deps }, { directory }) => withdrawOwnMarks(deps, directory),
  }),
  finish: giving('finish', {
    say: () => 'put pg_control into place: from here on a server can start',
    run: async (run) => {
      const record = finalRecord(run);
      const { control } = resultOf(run, 'fetch-control', 'receive');
      await putControlInPlace(run.facts, control, record);
      return record;
    },
  }),
  /** Never fails, because the backup is good by then. */
  'move-older': step({
    say: (_step, { facts }) => `move WAL that is older than the backup aside in "${facts.place.archivedir}"`,
    run: (run) => moveOlder(run, resultOf(run, 'stop-backup', 'receive').label.startSegment),
  }),
};

export type BackupStep = StepsOf<typeof backupSteps>;

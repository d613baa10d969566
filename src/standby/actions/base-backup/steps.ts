import { isStillThere, writeSentinel } from '../../../system/sentinel.ts';
import { ensureDirectory } from '../../../system/durable.ts';
import { outsidePgdata } from '../../host/tablespaces.ts';
import { readRemoteControl } from '../../primary/primary.ts';
import type { StepTable } from '../../steps/step-table.ts';
import { copyFiles } from './copy/copy-files.ts';
import { planCopy } from './copy/plan-copy.ts';
import { prepareTargets } from './copy/prepare-target.ts';
import type { BackupFacts } from './facts.ts';
import { abandonBackup, endLeftover, startBackup, stopBackup } from './on-primary/primary-backup.ts';
import { refuseNewTablespaces } from './on-primary/tablespaces-meanwhile.ts';
import { cleanSettings, copyConfiguration } from './pgdata/configuration.ts';
import { flushCopy } from './pgdata/flush.ts';
import {
  emptyWal,
  linkTablespaces,
  markCopying,
  putControlInPlace,
  readBefore,
  unmarkCopying,
  writeLabelFiles,
} from './pgdata/pgdata-files.ts';
import { comparisonFor, type BackupStep } from './plan.ts';
import { finalRecord, recordOf, resultOf, type BackupRun } from './results.ts';
import { awaitSource, requireOneTimeline } from './source/await-source.ts';
import { copyPrimarysFiles } from './source/own-files.ts';
import { awaitStop } from './streaming/await-stop.ts';
import { moveIntoPlace } from './streaming/move-into-place.ts';
import { makeTargets, removeOldCopy } from './streaming/old-copy.ts';
import { noteBeginning, receiveBackup, removeReceived } from './streaming/receive.ts';
import { verifyStep } from './verify-step.ts';
import { moveOlder, putBack, setAside } from './wal/set-aside.ts';
import { awaitWal, proveWal } from './wal/wait-for-wal.ts';

function described({ primary, place, source }: BackupFacts): string {
  const tablespaces = outsidePgdata(place.targets).map(
    ({ name, target }) => `, tablespace "${name}" to "${target}"`,
  );
  const from = source === undefined ? primary.dataDirectory : `${source.host}:${source.server.dataDirectory}`;
  return `"${from}" to "${place.pgdata}"${tablespaces.join('')}`;
}

async function takeSentinelBack(
  { deps, facts, results }: BackupRun,
  previous: Parameters<typeof writeSentinel>[1],
): Promise<void> {
  const { archivedir } = facts.place;
  const written = results['write-sentinel'];
  if (written === undefined) return;
  if (await isStillThere(archivedir, written)) await writeSentinel(archivedir, previous);
  else {
    deps.log.warning(
      `"${archivedir}" is not the directory whose sentinel this backup changed, or it has another one now: it is left as it is`,
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

/**
 * All that a base backup can do. Until the copy begins everything is taken back by its undo, or concerns nobody: a switched segment, a
 * backup that was ended.
 */
export const backupSteps: StepTable<BackupStep, BackupRun> = {
  'write-sentinel': {
    say: ({ sentinel }, { facts }) =>
      `mark "${facts.place.archivedir}" as the archive of cluster ${sentinel.systemIdentifier}`,
    run: async ({ facts, results }, { sentinel }) => {
      results['write-sentinel'] = await writeSentinel(facts.place.archivedir, sentinel);
    },
    undo: async (run, { previous }) => {
      // What prepares the archive stays once pgdata follows the new history.
      if (!run.state.isCopyBegun) await takeSentinelBack(run, previous);
    },
    leavesNothing: true,
  },
  'set-aside': {
    say: ({ names }, { facts }) =>
      `move ${names.length} files of another history aside in "${facts.place.archivedir}"`,
    run: async (run, { names }) => {
      run.results['set-aside'] = await setAside(run, names);
    },
    undo: async ({ facts, state, results }, { names }) => {
      const directory = results['set-aside'];
      if (!state.isCopyBegun && directory !== undefined)
        await putBack(facts.place.archivedir, names, directory);
    },
    leavesNothing: true,
  },
  'prove-wal': {
    say: (_step, { facts }) =>
      `prove that WAL arrives: switch a segment on the primary and wait for it in "${facts.place.archivedir}"`,
    run: proveWal,
    leavesNothing: true,
  },
  'end-leftover': {
    say: ({ label }) => `end the backup "${label}" that an earlier run left on the primary`,
    run: (run, { label }) => endLeftover(run, label),
    leavesNothing: true,
  },
  'start-backup': {
    say: (_step, { facts }) => `begin a backup on the primary with the label "${facts.label}"`,
    run: async (run) => {
      run.results['start-backup'] = await startBackup(run, run.state);
      await refuseNewTablespaces(run);
    },
    undo: (run) => abandonBackup(run, run.state),
    leavesNothing: true,
  },
  'await-source': {
    say: (_step, { facts }) =>
      `wait until ${facts.source?.host ?? ''} has all on its disk that was there when the backup began`,
    run: (run) => awaitSource(run, resultOf(run, 'start-backup')),
    leavesNothing: true,
  },
  'plan-copy': {
    say: () => 'list what is to be copied, and make sure that it can be read there and has room here',
    run: async (run) => {
      run.results['plan-copy'] = await planCopy(run);
    },
    leavesNothing: true,
  },
  'mark-copying': {
    say: (_step, { facts }) =>
      `make it impossible for a server to start on "${facts.place.pgdata}" until the copy is whole`,
    run: async (run) => {
      const before = await readBefore(run.facts.place.pgdata);
      run.results['mark-copying'] = before;
      await markCopying(run.facts, recordOf(run), before);
    },
    undo: unmark,
    leavesNothing: true,
  },
  'prepare-targets': {
    say: (_step, { facts }) => `remove from "${facts.place.pgdata}" what the primary has not`,
    run: async (run) => {
      const { roots } = resultOf(run, 'plan-copy');
      // While these are made, what is here is still what was here.
      for (const { target } of roots) await ensureDirectory(target);
      run.state.isCopyBegun = true;
      await prepareTargets(run, roots);
    },
  },
  'copy-files': {
    say: (_step, { facts }) => {
      const how = comparisonFor(facts) === 'contents' ? ', comparing every byte' : '';
      return `copy ${described(facts)}${how}, and check that every file is here`;
    },
    run: async (run) => {
      const copy = await copyFiles(run, resultOf(run, 'plan-copy'), run.beganMs);
      run.results['copy-files'] = { copy };
      await emptyWal(run);
    },
  },
  'check-source': {
    say: (_step, { facts }) =>
      `check that ${facts.source?.host ?? ''} still follows the primary; copy the primary's own files`,
    run: async (run) => {
      await requireOneTimeline(run, resultOf(run, 'start-backup').timeline);
      await copyPrimarysFiles(run);
    },
  },
  'link-tablespaces': {
    say: (_step, { facts: { place } }) =>
      `link ${place.targets.length} tablespaces in "${place.pgdata}/pg_tblspc"`,
    run: ({ facts }) => linkTablespaces(facts.place),
  },
  'copy-configuration': {
    say: (_step, { facts }) =>
      `copy the primary's ${facts.missingConfiguration.map(({ name }) => name).join(', ')}, since there is none here`,
    run: (run) => copyConfiguration(run, run.facts.missingConfiguration),
  },
  'fetch-control': {
    say: () => 'read pg_control of the primary and check it',
    run: async ({ primary, results }) => {
      // After all other files and while the backup goes on, as the manual asks.
      const { shell, facts } = primary;
      results['fetch-control'] = { control: (await readRemoteControl(shell, facts.dataDirectory)).bytes };
    },
  },
  verify: {
    say: () => 'check every page of the copy by its checksum',
    run: async (run) => {
      const { control } = resultOf(run, 'fetch-control');
      run.results.verify = { verified: await verifyStep(run, control, resultOf(run, 'start-backup')) };
    },
  },
  'stop-backup': {
    say: () => 'end the backup on the primary',
    run: async (run) => {
      run.results['stop-backup'] = await stopBackup(run, run.state);
    },
  },
  'write-label': {
    say: (_step, { facts }) => `write backup_label to "${facts.place.pgdata}"`,
    run: (run) => writeLabelFiles(run.facts.place, resultOf(run, 'stop-backup')),
  },
  // By pg_basebackup.
  'note-beginning': {
    say: (_step, { facts }) =>
      `ask the primary for its clock: a backup with the label "${facts.label}" begins`,
    run: async (run) => {
      run.results['note-beginning'] = await noteBeginning(run);
    },
    leavesNothing: true,
  },
  'remove-old-copy': {
    say: (_step, { facts }) =>
      `remove the copy in "${facts.place.pgdata}" and in the tablespaces first: there is no room for two`,
    run: async ({ facts, state }) => {
      await makeTargets(facts.place);
      state.isCopyBegun = true;
      await removeOldCopy(facts.place, facts.primary.capabilities);
    },
  },
  receive: {
    say: (_step, { facts }) =>
      `receive "${facts.primary.dataDirectory}" by pg_basebackup beside what is in "${facts.place.pgdata}"`,
    run: async (run) => {
      run.results.receive = await receiveBackup(run, run.beganMs);
    },
    undo: ({ facts }) => removeReceived(facts.place),
    leavesNothing: true,
  },
  'move-into-place': {
    say: (_step, { facts }) => `move ${described(facts)} into place`,
    run: async (run) => {
      const { control } = resultOf(run, 'receive');
      run.state.isCopyBegun = true;
      await moveIntoPlace(run, control);
    },
    undo: ({ facts }) => removeReceived(facts.place),
  },
  'clean-settings': {
    say: () => "remove the primary's own recovery settings from the copy",
    run: cleanSettings,
  },
  flush: {
    say: () => 'flush the copy to the disk',
    run: (run) => flushCopy(run),
  },
  'await-stop': {
    say: (_step, { facts }) =>
      `wait until the primary has reported in "${facts.place.archivedir}" where the backup ended`,
    run: async (run) => {
      run.results['await-stop'] = await awaitStop(run, resultOf(run, 'receive').label);
    },
    leavesNothing: true,
  },
  'await-wal': {
    say: (_step, { facts }) => `wait until all WAL of the backup is in "${facts.place.archivedir}"`,
    run: (run) => {
      const { label } = resultOf(run, 'stop-backup', 'receive');
      return awaitWal(run, label.startSegment, resultOf(run, 'stop-backup', 'await-stop').stopLsn);
    },
  },
  finish: {
    say: () => 'put pg_control into place: from here on a server can start',
    run: async (run) => {
      const record = finalRecord(run);
      await putControlInPlace(
        run.facts.place.pgdata,
        resultOf(run, 'fetch-control', 'receive').control,
        record,
      );
      run.results.finish = record;
    },
  },
  'move-older': {
    say: (_step, { facts }) => `move WAL that is older than the backup aside in "${facts.place.archivedir}"`,
    run: (run) => moveOlder(run, resultOf(run, 'stop-backup', 'receive').label.startSegment),
  },
};

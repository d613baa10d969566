import { unreachable } from '../../../errors.ts';
import { isStillThere, writeSentinel, type WrittenSentinel } from '../../../system/sentinel.ts';
import type { StepHandler } from '../../steps/carry-out.ts';
import { cleanSettings, copyConfiguration } from './pgdata/configuration.ts';
import type { BackupContext } from './context.ts';
import { copyFiles, noteDuration } from './copy/copy-files.ts';
import { flushCopy } from './pgdata/flush.ts';
import {
  emptyWal,
  linkTablespaces,
  markCopying,
  putControlInPlace,
  readBefore,
  unmarkCopying,
  writeLabelFiles,
  type Before,
} from './pgdata/pgdata-files.ts';
import { planCopy } from './copy/plan-copy.ts';
import { describeStep, type BackupStep } from './plan.ts';
import { prepareTargets } from './copy/prepare-target.ts';
import {
  abandonBackup,
  endLeftover,
  fetchControl,
  startBackup,
  stopBackup,
} from './on-primary/primary-backup.ts';
import { verifyStep } from './verify-step.ts';
import { moveOlder, putBack, setAside } from './wal/set-aside.ts';
import { awaitSource, requireOneTimeline } from './source/await-source.ts';
import { copyPrimarysFiles } from './source/own-files.ts';
import { awaitStop } from './streaming/await-stop.ts';
import { moveIntoPlace } from './streaming/move-into-place.ts';
import { makeTargets, removeOldCopy } from './streaming/old-copy.ts';
import { noteBeginning, receiveBackup, removeReceived } from './streaming/receive.ts';
import { refuseNewTablespaces } from './on-primary/tablespaces-meanwhile.ts';
import { awaitWal, proveWal } from './wal/wait-for-wal.ts';

/** What undoing a step needs to know of its doing. */
interface Traces {
  aside?: string;
  sentinel?: WrittenSentinel;
  before?: Before;
}

async function runStep(context: BackupContext, traces: Traces, step: BackupStep): Promise<void> {
  const { archivedir } = context.facts.place;
  switch (step.kind) {
    case 'write-sentinel':
      traces.sentinel = await writeSentinel(archivedir, step.sentinel);
      return;
    case 'set-aside':
      traces.aside = await setAside(context, step.names);
      return;
    case 'prove-wal':
      return proveWal(context);
    case 'end-leftover':
      return endLeftover(context, step.label);
    case 'start-backup':
      await startBackup(context, step.label);
      return refuseNewTablespaces(context);
    case 'plan-copy':
      return planCopy(context);
    case 'mark-copying':
      traces.before = await readBefore(context);
      return markCopying(context, traces.before);
    case 'prepare-targets':
      return prepareTargets(context, step.comparison);
    case 'copy-files':
      await copyFiles(context, step.comparison);
      return emptyWal(context);
    case 'link-tablespaces':
      return linkTablespaces(context, step.targets);
    case 'copy-configuration':
      return copyConfiguration(context, step.files);
    case 'fetch-control':
      return fetchControl(context);
    case 'verify':
      return verifyStep(context);
    case 'stop-backup':
      return stopBackup(context, step.label);
    case 'write-label':
      return writeLabelFiles(context);
    case 'clean-settings':
      return cleanSettings(context);
    case 'flush':
      return flushCopy(context);
    case 'await-source':
      return awaitSource(context);
    case 'check-source':
      await requireOneTimeline(context);
      return copyPrimarysFiles(context);
    case 'note-beginning':
      return noteBeginning(context, step.label);
    case 'remove-old-copy':
      await makeTargets(context.facts.place);
      context.run.isCopyBegun = true;
      return removeOldCopy(context.facts.place, context.facts.primary.capabilities);
    case 'receive':
      return receiveBackup(context, step.label);
    case 'move-into-place':
      return moveIntoPlace(context, step.files);
    case 'await-stop':
      return awaitStop(context);
    case 'await-wal':
      return awaitWal(context);
    case 'finish':
      noteDuration(context);
      return putControlInPlace(context);
    case 'move-older':
      return moveOlder(context);
    default:
      return unreachable(step);
  }
}

async function unmark(context: BackupContext, before: Before | undefined): Promise<void> {
  const { deps, facts, run } = context;
  if (run.isCopyBegun) {
    deps.log.warning(
      `the copy in ${facts.place.pgdata} is not complete, and no server can start on it until -B has succeeded`,
    );
  } else if (before !== undefined) await unmarkCopying(context, before);
}

async function undoStep(context: BackupContext, traces: Traces, step: BackupStep): Promise<void> {
  const { archivedir } = context.facts.place;
  if (step.kind === 'start-backup') await abandonBackup(context, step.label);
  if (step.kind === 'receive' || step.kind === 'move-into-place') await removeReceived(context);
  if (step.kind === 'mark-copying') await unmark(context, traces.before);
  // What prepares the archive stays once pgdata follows the new history.
  if (context.run.isCopyBegun) return;
  if (step.kind === 'set-aside' && traces.aside !== undefined)
    await putBack(context, step.names, traces.aside);
  if (step.kind !== 'write-sentinel') return;
  if (traces.sentinel === undefined) return;
  if (await isStillThere(archivedir, traces.sentinel)) await writeSentinel(archivedir, step.previous);
  else {
    context.deps.log.warning(
      `"${archivedir}" is not the directory whose sentinel this backup changed, or it has another one now: it is left as it is`,
    );
  }
}

/** Until the copy begins all is taken back by its undoing, or concerns nobody: a switched segment, a backup that was ended. */
const takenBack: readonly BackupStep['kind'][] = [
  'write-sentinel',
  'set-aside',
  'prove-wal',
  'end-leftover',
  'start-backup',
  'note-beginning',
  'await-source',
  'plan-copy',
  'receive',
  'await-stop',
  'mark-copying',
];

export function backupHandler(context: BackupContext): StepHandler<BackupStep> {
  const traces: Traces = {};
  return {
    describe: (step) => describeStep(step, context.facts),
    run: (step) => runStep(context, traces, step),
    undo: (step) => undoStep(context, traces, step),
    leavesNothing: ({ kind }) => takenBack.includes(kind),
  };
}

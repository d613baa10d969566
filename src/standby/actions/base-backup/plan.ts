import { segmentContaining } from '../../../postgres/lsn.ts';
import { timelineOf, type WalName } from '../../../postgres/wal-name.ts';
import { formatSentinel } from '../../../system/sentinel.ts';
import { newSentinel } from '../../host/place.ts';
import { refuseOn, when } from '../../steps/objections.ts';
import { type BackupFacts, layoutOf, markOfPrimary } from './facts.ts';
import { listObjections } from './objections.ts';
import type { BackupStep } from './steps.ts';
import { streamingSteps } from './streaming/plan.ts';

/**
 * Files in archivedir that the primary cannot have written: their timeline is later than the primary's, or they lie
 * beyond its current position. They remain from a promotion of this standby, or from a primary that was restored to an
 * earlier state. The server would follow such a timeline, and the archiver would find other contents under the same
 * names.
 */
export function findForeignHistory(facts: BackupFacts): readonly WalName[] {
  const { position, archived } = facts;
  if (position === undefined) return [];
  const current = segmentContaining(position.timeline, position.lsn, layoutOf(facts));
  return archived.filter((name) => {
    const timeline = timelineOf(name);
    if (timeline !== position.timeline) return timeline > position.timeline;
    if (name.kind === 'history') return false;
    return (name.kind === 'segment' ? name : name.segment).text > current.text;
  });
}

function sentinelSteps(facts: BackupFacts): readonly BackupStep[] {
  const { primary, place } = facts;
  // This host follows the timeline on which the primary is, even if its own promotion had left it.
  const followed = markOfPrimary(facts);
  const whole = newSentinel(place, primary);
  const sentinel = { ...whole, left: whole.left.filter((mark) => mark !== followed) };
  const previous = place.sentinel.kind === 'found' ? place.sentinel.sentinel : undefined;
  // A missing sentinel is an objection: only -I marks a directory as the archive.
  if (previous === undefined || formatSentinel(previous) === formatSentinel(sentinel)) return [];
  return [{ kind: 'write-sentinel', sentinel, previous, followed }];
}

/** The steps of a base backup. Throws a refusal that names all objections. */
export function planBaseBackup(facts: BackupFacts): readonly BackupStep[] {
  refuseOn(listObjections(facts), facts.force);
  const foreign = findForeignHistory(facts);
  return [
    ...sentinelSteps(facts),
    ...when(foreign.length > 0, { kind: 'set-aside', names: foreign }),
    { kind: 'prove-wal' },
    ...withSlot(facts, facts.streaming === undefined ? rsyncSteps(facts) : streamingSteps(facts.streaming)),
    { kind: 'await-wal' },
    ...(facts.ownMarks === undefined ? [] : [{ kind: 'withdraw-marks', directory: facts.ownMarks } as const]),
    { kind: 'finish' },
    { kind: 'move-older' },
  ];
}

/**
 * The slot is made once it is noted, so that a later run can drop it if this one is killed. The archive has all WAL of
 * the backup, and the slot keeps the WAL after it.
 */
function withSlot({ slot }: BackupFacts, steps: readonly BackupStep[]): readonly BackupStep[] {
  if (slot.kind !== 'asked') return steps;
  return steps.flatMap<BackupStep>((step) =>
    step.kind === 'mark-copying' ? [step, { kind: 'make-slot', name: slot.name }] : [step],
  );
}

/** The steps of a copy over ssh, from the start of the backup until the copy is on the disk. */
function rsyncSteps(facts: BackupFacts): readonly BackupStep[] {
  const { source, backupInProgress: leftover, missingConfiguration } = facts;
  const verifies = facts.verify && facts.primary.settings.dataChecksums;
  return [
    ...(leftover === undefined ? [] : [{ kind: 'end-leftover', label: leftover.label } as const]),
    { kind: 'start-backup' },
    ...when(source !== undefined, { kind: 'await-source' }),
    { kind: 'plan-copy' },
    { kind: 'mark-copying' },
    { kind: 'prepare-targets' },
    { kind: 'copy-files' },
    ...when(source !== undefined, { kind: 'check-source' }),
    { kind: 'link-tablespaces' },
    ...when(missingConfiguration.length > 0, { kind: 'copy-configuration' }),
    { kind: 'fetch-control' },
    ...when(verifies, { kind: 'verify' }),
    { kind: 'stop-backup' },
    { kind: 'write-label' },
    { kind: 'clean-settings' },
    { kind: 'flush' },
  ];
}

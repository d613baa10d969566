import { segmentContaining } from '../../../postgres/lsn.ts';
import { timelineOf, type WalName } from '../../../postgres/wal-name.ts';
import { formatSentinel } from '../../../system/sentinel.ts';
import { newSentinel } from '../../host/place.ts';
import { refuseOn } from '../../steps/objections.ts';
import { type BackupFacts, layoutOf } from './facts.ts';
import { listObjections } from './objections.ts';
import type { BackupStep } from './steps.ts';
import { streamingSteps } from './streaming/plan.ts';

/**
 * Files in archivedir that the primary cannot have written on its way to where it is now: of a later timeline, or
 * of this one beyond its end. They are left by a promotion of this standby or by a primary that was set back. The
 * server would follow such a timeline, and the archiver would meet other bytes under the same name.
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

function sentinelSteps({ primary, place, standby }: BackupFacts): readonly BackupStep[] {
  const sentinel = newSentinel(primary, standby);
  const previous = place.sentinel.kind === 'found' ? place.sentinel.sentinel : undefined;
  // One that is missing is an objection: only -I marks a directory as the archive.
  if (previous === undefined || formatSentinel(previous) === formatSentinel(sentinel)) return [];
  return [{ kind: 'write-sentinel', sentinel, previous }];
}

/** The steps of a base backup. Throws a refusal that names everything which stands against it. */
export function planBaseBackup(facts: BackupFacts): readonly BackupStep[] {
  refuseOn(listObjections(facts), facts.force);
  const foreign = findForeignHistory(facts);
  return [
    ...sentinelSteps(facts),
    ...(foreign.length === 0 ? [] : [{ kind: 'set-aside', names: foreign } as const]),
    { kind: 'prove-wal' },
    ...(facts.streaming === undefined ? rsyncSteps(facts) : streamingSteps(facts.streaming)),
  ];
}

/** From the beginning of the backup to its end, over ssh. */
function rsyncSteps(facts: BackupFacts): readonly BackupStep[] {
  const { source, backupInProgress: leftover, missingConfiguration } = facts;
  const when = <S>(isWanted: boolean, step: S) => (isWanted ? [step] : []);
  const verifies = facts.verify && facts.primary.settings.dataChecksums;
  return [
    ...(leftover === undefined ? [] : [{ kind: 'end-leftover', label: leftover.label } as const]),
    { kind: 'start-backup' },
    ...when(source !== undefined, { kind: 'await-source' } as const),
    { kind: 'plan-copy' },
    { kind: 'mark-copying' },
    { kind: 'prepare-targets' },
    { kind: 'copy-files' },
    ...when(source !== undefined, { kind: 'check-source' } as const),
    { kind: 'link-tablespaces' },
    ...when(missingConfiguration.length > 0, { kind: 'copy-configuration' } as const),
    { kind: 'fetch-control' },
    ...when(verifies, { kind: 'verify' } as const),
    { kind: 'stop-backup' },
    { kind: 'write-label' },
    { kind: 'clean-settings' },
    { kind: 'flush' },
    { kind: 'await-wal' },
    { kind: 'finish' },
    { kind: 'move-older' },
  ];
}

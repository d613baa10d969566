import { segmentContaining, type WalLayout } from '../../../postgres/lsn.ts';
import { timelineOf, type WalName } from '../../../postgres/wal-name.ts';
import { formatSentinel, type Sentinel } from '../../../system/sentinel.ts';
import { newSentinel } from '../../host/place.ts';
import { refuseOn } from '../../steps/objections.ts';
import type { BackupFacts } from './facts.ts';
import { listObjections } from './objections.ts';
import { streamingSteps } from './streaming/plan.ts';

/** How rsync finds out what to transfer: by size and time, or by reading every byte on both sides. */
export type Comparison = 'times' | 'contents';

export type BackupStep =
  | { readonly kind: 'write-sentinel'; readonly sentinel: Sentinel; readonly previous: Sentinel }
  | { readonly kind: 'set-aside'; readonly names: readonly WalName[] }
  | { readonly kind: 'prove-wal' }
  | { readonly kind: 'end-leftover'; readonly label: string }
  | { readonly kind: 'start-backup' }
  | { readonly kind: 'mark-copying' }
  | { readonly kind: 'plan-copy' }
  | { readonly kind: 'prepare-targets' }
  | { readonly kind: 'copy-files' }
  | { readonly kind: 'link-tablespaces' }
  | { readonly kind: 'copy-configuration' }
  | { readonly kind: 'fetch-control' }
  | { readonly kind: 'verify' }
  | { readonly kind: 'stop-backup' }
  | { readonly kind: 'write-label' }
  | { readonly kind: 'clean-settings' }
  | { readonly kind: 'flush' }
  // From another standby.
  | { readonly kind: 'await-source' }
  | { readonly kind: 'check-source' }
  // By pg_basebackup.
  | { readonly kind: 'note-beginning' }
  | { readonly kind: 'remove-old-copy' }
  | { readonly kind: 'receive' }
  | { readonly kind: 'move-into-place' }
  | { readonly kind: 'await-stop' }
  | { readonly kind: 'await-wal' }
  | { readonly kind: 'finish' }
  /** Never fails: the backup is good by then. */
  | { readonly kind: 'move-older' };

export function layoutOf({ primary }: BackupFacts): WalLayout {
  return {
    segmentSize: primary.settings.walSegmentSize,
    walSegmentSkipsFF: primary.capabilities.walSegmentSkipsFF,
  };
}

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
    return (name.kind === 'segment' ? name : name.segment).name > current.name;
  });
}

/**
 * Size and time are believed only of files that an earlier backup of ours finished and flushed, and only to the
 * nanosecond: a file may change without changing its size within the second in which it was copied.
 */
export function comparisonFor({ primary, place, record, rsync, source }: BackupFacts): Comparison {
  // Each host has times of its own: equal ones prove nothing about another host's file.
  if (source !== undefined || record.backup?.source !== undefined) return 'contents';
  const isOurs =
    place.content.kind === 'cluster' && place.content.systemIdentifier === primary.systemIdentifier;
  const isWhole =
    record.backup?.status === 'complete' && record.backup.systemIdentifier === primary.systemIdentifier;
  return isOurs && isWhole && rsync?.comparesNanoseconds === true ? 'times' : 'contents';
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

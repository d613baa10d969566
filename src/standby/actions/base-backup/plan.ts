import { segmentContaining, type WalLayout } from '../../../postgres/lsn.ts';
import { timelineOf, type WalName } from '../../../postgres/wal-name.ts';
import { formatSentinel, sentinelName, type Sentinel } from '../../../system/sentinel.ts';
import { ownLabelPrefix } from '../../primary/backup-in-progress.ts';
import { newSentinel, placeObjections } from '../../host/place.ts';
import { refuseOn, type Objection } from '../../steps/objections.ts';
import { failoverObjections } from '../../recovery/unfinished-failover.ts';
import type { BackupFacts } from './facts.ts';
import { sourceObjections } from './source/objections.ts';
import { streamingObjections, streamingSteps } from './streaming/plan.ts';

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

function primaryObjections(facts: BackupFacts): Objection[] {
  const { settings, tablespaces } = facts.primary;
  const objections: Objection[] = [];
  if (settings.inRecovery) {
    objections.push({
      message: 'the server there is in recovery: it is a standby itself',
      hint: 'Check master_public_ip: and port:; a base backup is made of the primary.',
    });
  }
  if (settings.archiveMode === 'off') {
    objections.push({
      message: 'archive_mode is off on the primary, so the WAL that a base backup needs would never arrive',
      hint: 'Set archive_mode = on and archive_command in its postgresql.conf, and restart it.',
    });
  } else if (settings.archiveCommand === '' && settings.archiveLibrary === '') {
    objections.push({
      message: 'archive_command is empty on the primary, so no WAL is shipped',
      hint: "Set archive_command = 'cmd_archiver -C FILE -F %p' there and reload.",
    });
  }
  if (facts.archiveCommandProblem !== undefined) {
    objections.push({
      name: 'archive-command',
      message: `PostgreSQL on the primary cannot archive: ${facts.archiveCommandProblem}`,
      hint: "Mend archive_command there and reload: cmd_archiver without an action checks it. A shipper may deliver meanwhile, but the primary's WAL piles up.",
      cost: "the base backup is made, and the primary's WAL piles up",
    });
  }
  const unwritable = tablespaces.find(({ location }) => /[\n\\]/.test(location));
  if (unwritable !== undefined) {
    objections.push({
      message: `the path of tablespace "${unwritable.name}" holds a line break or a backslash`,
      hint: 'Move the tablespace to a directory with a plain name.',
    });
  }
  return objections;
}

function backupObjections({ backupInProgress: current, notedBackup, standby }: BackupFacts): Objection[] {
  if (current === undefined || current.label === notedBackup) return [];
  const isOfThisHost = current.label.startsWith(ownLabelPrefix(standby));
  return [
    {
      message: `another backup goes on at the primary: "${current.label}" since ${current.startTime}`,
      hint: isOfThisHost
        ? 'This version can make only one at a time. It was begun by -A start_basebackup or with another INI file of this host; if nobody needs it, end it: cmd_standby -C FILE -A stop_basebackup'
        : 'This version can make only one at a time. Whoever began it must end it; -A stop_basebackup ends only those of this host.',
    },
  ];
}

function lostArchive({ archivedir, hasRecord }: BackupFacts['place']): Objection {
  const force = hasRecord ? ' --force=new-archive' : '';
  return {
    message: `archivedir "${archivedir}" has no ${sentinelName}: is its file system mounted?`,
    hint: `Mount it; if it is the right directory, mark it as the archive: cmd_standby -C FILE -I${force}`,
  };
}

function archiveObjections({ place }: BackupFacts): Objection[] {
  if (place.hasArchivedir && place.sentinel.kind === 'none') return [lostArchive(place)];
  if (place.hasArchivedir) return [];
  return [
    {
      message: `there is no archivedir "${place.archivedir}"`,
      hint: 'Run cmd_standby -C FILE -I first, or mount it.',
    },
  ];
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

/** All that stands against a base backup. */
export function listObjections(facts: BackupFacts): readonly Objection[] {
  const { place, primary } = facts;
  return [
    ...placeObjections(place, primary),
    ...failoverObjections(place.pgdata, facts.record),
    ...archiveObjections(facts),
    ...primaryObjections(facts),
    ...backupObjections(facts),
    ...(facts.source === undefined ? [] : sourceObjections(facts, facts.source)),
    ...(facts.streaming === undefined ? [] : streamingObjections(facts, facts.streaming)),
  ];
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

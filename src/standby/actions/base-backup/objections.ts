import { describeLeft } from '../../../postgres/left-timeline.ts';
import { sentinelName } from '../../../system/sentinel.ts';
import { placeObjections } from '../../host/place.ts';
import { ownLabelPrefix } from '../../primary/backup-in-progress.ts';
import { failoverObjections } from '../../recovery/unfinished-failover.ts';
import type { Objection } from '../../steps/objections.ts';
import { type BackupFacts, markOfPrimary } from './facts.ts';
import { sourceObjections } from './source/objections.ts';
import { streamingObjections } from './streaming/plan.ts';

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
      hint: "Correct archive_command there and reload: cmd_archiver without an action checks it. A shipper may deliver meanwhile, but the primary's WAL piles up.",
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
      message: `another backup is in progress on the primary: "${current.label}" since ${current.startTime}`,
      hint: isOfThisHost
        ? 'This version can make only one at a time. It was begun by -A start_basebackup or with another INI file of this host; if nobody needs it, end it: cmd_standby -C FILE -A stop_basebackup'
        : 'This version can make only one at a time. It must be ended where it was begun; -A stop_basebackup ends only those of this host.',
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

/** A mark of this host's own promotion is no objection: the backup ends what that promotion began. */
function leftTimelineObjections(facts: BackupFacts): Objection[] {
  const mark = markOfPrimary(facts);
  if (mark === undefined || mark.by === facts.place.own.standby) return [];
  return [
    {
      name: 'left-timeline',
      message: `the server there is an old primary: ${describeLeft(mark)}`,
      hint: `Set master_public_ip: to ${mark.by}. If the promotion of ${mark.by} was a mistake, run on the primary: cmd_archiver -C FILE --timeline-restored ${mark.timeline}`,
      cost: `this standby follows the old primary and not ${mark.by}, and takes the old primary's WAL again`,
    },
  ];
}

/** All objections to a base backup. */
export function listObjections(facts: BackupFacts): readonly Objection[] {
  const { place, primary } = facts;
  return [
    ...placeObjections(place, primary),
    ...failoverObjections(place.pgdata, facts.record, facts.recordProblem),
    ...archiveObjections(facts),
    ...primaryObjections(facts),
    ...leftTimelineObjections(facts),
    ...backupObjections(facts),
    ...(facts.source === undefined ? [] : sourceObjections(facts, facts.source)),
    ...(facts.streaming === undefined ? [] : streamingObjections(facts, facts.streaming)),
  ];
}

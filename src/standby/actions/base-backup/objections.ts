import { describeLeft } from '../../../postgres/left-timeline.ts';
import { quoted } from '../../../system/printable.ts';
import { sentinelName } from '../../../system/sentinel.ts';
import { placeObjections } from '../../host/place.ts';
import { ownLabelPrefix } from '../../primary/backup-in-progress.ts';
import { failoverObjections } from '../../recovery/unfinished-failover.ts';
import { ownSlotObjections } from '../../slot/own-slot.ts';
import { type Objection, when } from '../../steps/objections.ts';
import { type BackupFacts, markOfPrimary } from './facts.ts';
import { sourceObjections } from './source/objections.ts';
import { streamingObjections } from './streaming/plan.ts';

function primaryObjections({ primary, archiveCommandProblem: problem }: BackupFacts): readonly Objection[] {
  const { inRecovery, archiveMode, archiveCommand, archiveLibrary } = primary.settings;
  const isEmpty = archiveCommand === '' && archiveLibrary === '';
  const unwritable = primary.tablespaces.find(({ location }) => /[\n\\]/.test(location));
  return [
    ...when(inRecovery, {
      message: 'the server there is in recovery: it is a standby itself',
      hint: 'Check master_public_ip: and port:; a base backup is made of the primary.',
    }),
    ...when(archiveMode === 'off', {
      message: 'archive_mode is off on the primary, so the WAL that a base backup needs would never arrive',
      hint: 'Set archive_mode = on and archive_command in its postgresql.conf, and restart it.',
    }),
    ...when(archiveMode !== 'off' && isEmpty, {
      message: 'archive_command is empty on the primary, so no WAL is shipped',
      hint: "Set archive_command = 'cmd_archiver -C FILE -F %p' there and reload.",
    }),
    ...when(problem !== undefined, {
      name: 'archive-command',
      message: `PostgreSQL on the primary cannot archive: ${problem ?? ''}`,
      hint: 'Correct archive_command there and reload: cmd_archiver without an action checks it. A shipper may still deliver WAL, but pg_wal on the primary keeps growing.',
      cost: 'the base backup is made, but pg_wal on the primary keeps growing',
    }),
    ...when(unwritable !== undefined, {
      message: `the path of tablespace "${unwritable?.name ?? ''}" holds a line break or a backslash`,
      hint: 'Move the tablespace to a directory with a plain name.',
    }),
  ];
}

function backupObjections({
  backupInProgress: current,
  notedBackup,
  standby,
}: BackupFacts): readonly Objection[] {
  if (current === undefined) return [];
  const isOfThisHost = current.label.startsWith(ownLabelPrefix(standby));
  return when(current.label !== notedBackup, {
    message: `another backup is in progress on the primary: "${current.label}" since ${current.startTime}`,
    hint: isOfThisHost
      ? 'This version can make only one at a time. It was begun by -A start_basebackup or with another INI file of this host; if nobody needs it, end it: cmd_standby -C FILE -A stop_basebackup'
      : 'This version can make only one at a time. It must be ended where it was begun; -A stop_basebackup ends only those of this host.',
  });
}

function archiveObjections({ place }: BackupFacts): readonly Objection[] {
  const { archivedir, hasArchivedir, hasRecord, sentinel } = place;
  const force = hasRecord ? ' --force=new-archive' : '';
  return [
    ...when(hasArchivedir && sentinel.kind === 'none', {
      message: `archivedir "${archivedir}" has no ${sentinelName}: is its file system mounted?`,
      hint: `Mount it; if it is the right directory, mark it as the archive: cmd_standby -C FILE -I${force}`,
    }),
    ...when(!hasArchivedir, {
      message: `there is no archivedir "${archivedir}"`,
      hint: 'Run cmd_standby -C FILE -I first, or mount it.',
    }),
  ];
}

function configurationObjections({ missingConfiguration, place }: BackupFacts): readonly Objection[] {
  return missingConfiguration.flatMap(({ name, source, unreadable }) =>
    when(unreadable !== undefined, {
      message: `there is no ${name} here, and the primary's "${quoted(source)}" cannot be read: ${unreadable ?? ''}`,
      hint: `Let the user of the connection read it, or put a ${name} for this standby into "${place.pgdata}".`,
    }),
  );
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
    ...failoverObjections(place.pgdata, facts.record, facts.recordProblem, facts.hasLeftRecovery === true),
    ...archiveObjections(facts),
    ...primaryObjections(facts),
    ...leftTimelineObjections(facts),
    ...backupObjections(facts),
    ...configurationObjections(facts),
    ...ownSlotObjections(facts.slot, undefined),
    ...(facts.source === undefined ? [] : sourceObjections(facts, facts.source)),
    ...(facts.streaming === undefined ? [] : streamingObjections(facts, facts.streaming)),
  ];
}

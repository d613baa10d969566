/**
 * `backup_label`, which says where recovery of a base backup starts, and the `.backup` file, which says in
 * the archive where that backup ended. Both have the same lines; newer releases add some.
 */
import { PitrError } from '../errors.ts';
import { parseLsn } from './lsn.ts';
import { parseWalName, type SegmentName } from './wal-name.ts';

export interface BackupLabel {
  readonly startLsn: bigint;
  readonly startSegment: SegmentName;
  readonly checkpointLsn: bigint;
  /** The time as the server prints it, with the abbreviation of its time zone. */
  readonly startTime: string;
  readonly label: string;
  /** Only in a `.backup` file. */
  readonly stop: BackupStop | undefined;
}

interface BackupStop {
  readonly lsn: bigint;
  readonly segment: SegmentName;
  readonly time: string;
}

/** `name` is for messages: the file's name. */
export function parseBackupLabel(text: string, name: string): BackupLabel {
  const fields = fieldsOf(text);
  const need = (field: string) => fields.get(field) ?? missing(name, field);
  const start = parseLocation(need('START WAL LOCATION'), name);
  return {
    startLsn: start.lsn,
    startSegment: start.segment,
    checkpointLsn: parseLsn(need('CHECKPOINT LOCATION')),
    startTime: need('START TIME'),
    // A file that pg_rewind wrote has no label.
    label: fields.get('LABEL') ?? need('BACKUP METHOD'),
    stop: fields.has('STOP WAL LOCATION') ? stopOf(need, name) : undefined,
  };
}

function stopOf(need: (field: string) => string, name: string): BackupStop {
  return { ...parseLocation(need('STOP WAL LOCATION'), name), time: need('STOP TIME') };
}

/** The first line of a name counts: a label may contain a line break and then look like another field. */
function fieldsOf(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^([A-Z ]+): (.*?)\r?$/.exec(line);
    if (match?.[1] === undefined || match[2] === undefined) continue;
    if (!fields.has(match[1])) fields.set(match[1], match[2]);
  }
  return fields;
}

/** `1/25000020 (file 000000010000000100000025)` */
function parseLocation(text: string, name: string): { lsn: bigint; segment: SegmentName } {
  const match = /^(\S+) \(file (\S+)\)$/.exec(text);
  const segment = parseWalName(match?.[2] ?? '');
  if (match?.[1] === undefined || segment.kind !== 'segment') throw damaged(name, text);
  return { lsn: parseLsn(match[1]), segment };
}

function missing(name: string, field: string): never {
  throw damaged(name, `there is no line '${field}'`);
}

function damaged(name: string, detail: string): PitrError {
  return new PitrError(`${name} is not a backup label`, { detail });
}

import { durationText, rateOf, rateText, sizeText } from '../../../amounts.ts';
import { describeFindings } from '../../page-check/findings.ts';
import type { BackupRecord, CopyFacts, VerifiedFacts } from './record.ts';

type Line = readonly [name: string, value: string];

function copyLines(copy: CopyFacts | undefined): readonly Line[] {
  if (copy === undefined) return [];
  const { files, bytes, movedBytes, reusedBytes, receivedBytes, threads, copySeconds, seconds } = copy;
  const rsyncs = threads === 1 ? 'one rsync at a time' : `${threads} rsyncs at a time`;
  const by = copy.method ?? rsyncs;
  return [
    ['size', `${sizeText(bytes)} in ${files} files`],
    [
      'moved',
      `${sizeText(movedBytes)} (${sizeText(receivedBytes)} over the network); ${sizeText(reusedBytes)} were here already`,
    ],
    ['rate', `${rateText(rateOf(bytes, copySeconds))} by ${by}`],
    ['duration', `${durationText(seconds)}, of which the copy ${durationText(copySeconds)}`],
  ];
}

function walLines(backup: BackupRecord): readonly Line[] {
  const { startLsn, startTime, stopLsn, stopTime, startSegment, stopSegment, timeline, source } = backup;
  const isOneSegment = stopSegment === undefined || stopSegment === startSegment;
  return [
    ...(source === undefined ? [] : [['files', `read from the standby ${source}`] as const]),
    ['start', `${startLsn} at ${startTime}`],
    ...(stopLsn === undefined ? [] : [['stop', `${stopLsn} at ${stopTime ?? ''}`] as const]),
    ['timeline', String(timeline)],
    ['WAL', isOneSegment ? startSegment : `${startSegment} to ${stopSegment}`],
  ];
}

function verifiedLines(verified: VerifiedFacts | undefined): readonly Line[] {
  if (verified === undefined) return [];
  const { pages, files, findings, time } = verified;
  const result = findings.length === 0 ? 'none is damaged' : `\n${describeFindings(findings)}`;
  return [['verified', `${pages} pages in ${files} files at ${time}: ${result}`]];
}

function columns(lines: readonly Line[]): readonly string[] {
  const width = Math.max(...lines.map(([name]) => name.length)) + 1;
  const indent = `\n${' '.repeat(width + 3)}`;
  return lines.map(([name, value]) => `  ${`${name}:`.padEnd(width)} ${value.replaceAll('\n', indent)}`);
}

/** The report of -B at its end. */
export function describeSummary(backup: BackupRecord): readonly string[] {
  return columns([...copyLines(backup.copy), ...walLines(backup), ...verifiedLines(backup.verified)]);
}

/** The same report with facts that matter a month later. */
export function describeBackup(backup: BackupRecord, state: string): readonly string[] {
  const { label, systemIdentifier, primaryPgdata, toolVersion } = backup;
  return columns([
    ['state', state],
    ['label', label],
    ['cluster', `${systemIdentifier}, from ${primaryPgdata}`],
    ...copyLines(backup.copy),
    ...walLines(backup),
    ...verifiedLines(backup.verified),
    ...(toolVersion === undefined ? [] : [['made by', `cmd_standby ${toolVersion}`] as const]),
  ]);
}

/** One JSON object on one line, for machines: the record in pgdata, and values derived from it. */
export function backupJson(pgdata: string, backup: BackupRecord, hasStarted: boolean): string {
  const { copy } = backup;
  const bytesPerSecond = copy === undefined ? undefined : rateOf(copy.bytes, copy.copySeconds);
  return JSON.stringify({
    pgdata,
    hasStarted,
    ...backup,
    ...(bytesPerSecond === undefined ? {} : { bytesPerSecond: Math.round(bytesPerSecond) }),
  });
}

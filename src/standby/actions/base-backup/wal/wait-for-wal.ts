import { join } from 'node:path';
import { PitrError, refusal } from '../../../../errors.ts';
import { writeWalRecordSql } from '../../../../postgres/backup-sql.ts';
import { listSegments, segmentEndingAt } from '../../../../postgres/lsn.ts';
import type { SegmentName } from '../../../../postgres/wal-name.ts';
import { arrivalOf } from '../../../archive/arrival.ts';
import { askToResume, endRequest } from '../../../archive/resume-request.ts';
import { archiverStatistics, describeArchiving } from '../../../primary/archiver-statistics.ts';
import { checkpoint, mayCheckpoint } from '../../../primary/checkpoint.ts';
import { waitUntil } from '../../../server/wait.ts';
import type { BackupContext } from '../context.ts';
import { layoutOf } from '../facts.ts';
import { endSegment, nudgesAtTimes } from './nudge.ts';

/** The segments that are not complete in archivedir. A segment with other contents is an error. */
async function missingOf(
  { facts }: BackupContext,
  segments: readonly SegmentName[],
): Promise<readonly SegmentName[]> {
  const { archivedir } = facts.place;
  const { systemIdentifier } = facts.primary;
  const { segmentSize } = layoutOf(facts);
  const missing: SegmentName[] = [];
  for (const segment of segments) {
    const arrival = await arrivalOf(archivedir, segment, { systemIdentifier, segmentSize });
    if (arrival.kind === 'wrong') {
      throw new PitrError(`"${join(archivedir, segment.text)}" is not the primary's: ${arrival.reason}`, {
        hint: 'Move that file away, and find out who put it there.',
      });
    }
    if (arrival.kind !== 'whole') missing.push(segment);
  }
  return missing;
}

/** Polls for at most `wal_timeout` until nothing is missing. Returns what is still missing. */
async function waitUntilHere(
  context: BackupContext,
  look: () => Promise<readonly SegmentName[]>,
  onNudge?: (segment: SegmentName) => void,
): Promise<readonly SegmentName[]> {
  const nudge = nudgesAtTimes(context);
  let missing: readonly SegmentName[] = [];
  await waitUntil(context.deps, context.deps.settings.wal_timeout, async () => {
    missing = await look();
    const [first] = missing;
    if (first === undefined) return { kind: 'done', value: undefined };
    const ended = await nudge(`${missing.length} WAL segments, the first is ${first.text}`);
    if (ended !== undefined) onNudge?.(ended);
    return { kind: 'waiting', progress: '' };
  });
  return missing;
}

/**
 * Waits for this segment, or for one that the primary ends after it. An archiver that had abandoned this standby may
 * skip the first one before it finds the request to resume.
 */
async function waitForAny(context: BackupContext, first: SegmentName): Promise<boolean> {
  const candidates = [first];
  const missing = await waitUntilHere(
    context,
    async () => {
      const absent = await missingOf(context, candidates);
      return absent.length < candidates.length ? [] : absent;
    },
    (later) => {
      if (!isStale(context, later)) candidates.push(later);
    },
  );
  return missing.length === 0;
}

async function refuseUnproven(context: BackupContext, segment: SegmentName): Promise<never> {
  const { deps, facts } = context;
  const { archivedir, wal_timeout } = deps.settings;
  const causes = [
    `archive_command on the primary is "${facts.primary.settings.archiveCommand}": does it ship to "${archivedir}" on this host?`,
    'it may be failing: see the log of the server there',
    `cmd_archiver may have this standby marked as abandoned: then run there  cmd_archiver -C FILE --resume ${deps.hostName}`,
  ];
  throw refusal(`segment ${segment.text} did not arrive in "${archivedir}" within ${wal_timeout} s`, {
    detail: [await archiverStatistics(context.primary), ...causes.map((cause) => `- ${cause}`)]
      .filter(Boolean)
      .join('\n'),
    hint: 'Nothing was copied, and the standby is unchanged. Make sure that WAL arrives, then run -B again.',
  });
}

async function switchSegment({ deps, primary }: BackupContext): Promise<SegmentName> {
  const isFast = deps.settings.basebackup_checkpoint === 'fast';
  // Both write a record into the segment. Without a record the switch would do nothing.
  if (isFast && (await mayCheckpoint(primary))) await checkpoint(primary);
  else await primary.query(writeWalRecordSql);
  return endSegment(primary);
}

/** Whether the segment existed here before the primary had ended it. */
function isStale({ facts }: BackupContext, segment: SegmentName): boolean {
  return facts.archived.some(({ text: name }) => name === segment.text);
}

function refuseStale(context: BackupContext, segment: SegmentName): void {
  if (!isStale(context, segment)) return;
  throw refusal(
    `"${join(context.facts.place.archivedir, segment.text)}" was there before the primary had finished that segment`,
    { hint: 'It is left from another history of this cluster. Move it away, then run -B again.' },
  );
}

/**
 * Proves that the primary's WAL arrives here: asks its archiver to resume, ends a segment on the primary and waits for
 * that segment. Nothing of the standby changes before this has succeeded.
 */
export async function proveWal(context: BackupContext): Promise<void> {
  const { deps, facts } = context;
  await askToResume(deps, facts.place.archivedir);
  try {
    const segment = await switchSegment(context);
    refuseStale(context, segment);
    deps.log.debug(`waiting for ${segment.text} in ${facts.place.archivedir}`);
    if (!(await waitForAny(context, segment))) await refuseUnproven(context, segment);
  } finally {
    await endRequest(facts.place.archivedir);
  }
}

/** Waits for all WAL that recovery from this backup needs, from its start to its stop. */
export async function awaitWal(context: BackupContext, first: SegmentName, stopLsn: bigint): Promise<void> {
  const { deps, primary, facts } = context;
  const { wal_timeout, archivedir } = deps.settings;
  context.onEvent({ kind: 'phase', phase: 'wal' });
  const layout = layoutOf(facts);
  let missing: readonly SegmentName[] = listSegments(
    first,
    segmentEndingAt(first.timeline, stopLsn, layout),
    layout,
  );
  missing = await waitUntilHere(context, async () => (missing = await missingOf(context, missing)));
  if (missing.length === 0) return;
  throw new PitrError(
    `the backup needs WAL that did not arrive in "${archivedir}" within ${wal_timeout} s: ${missing.map(({ text }) => text).join(', ')}`,
    {
      detail: await describeArchiving(primary),
      hint: 'The copy is kept, and the next -B transfers only what has changed. Make sure that WAL arrives first. wal_timeout: sets how long -B waits for it.',
    },
  );
}

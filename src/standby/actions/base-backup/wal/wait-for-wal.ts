import { join } from 'node:path';
import { messageOf, PitrError, refusal } from '../../../../errors.ts';
import {
  checkpointSql,
  isTrue,
  mayCheckpointSql,
  switchWalSql,
  writeWalRecordSql,
} from '../../../../postgres/backup-sql.ts';
import { listSegments, segmentEndingAt } from '../../../../postgres/lsn.ts';
import { parseWalName, type SegmentName } from '../../../../postgres/wal-name.ts';
import { exists, removeDurably, writeDurably } from '../../../../system/durable.ts';
import { archiverStatistics } from '../../../primary/archiver-statistics.ts';
import type { Primary } from '../../../primary/primary.ts';
import { arrivalOf } from '../../../archive/arrival.ts';
import { needed, type BackupContext } from '../context.ts';
import { layoutOf } from '../plan.ts';

/** A request of ours to the archiver: it looks for this file whenever it connects, and then ships again. */
const resumeRequest = '.resume';

/** A segment takes a moment as a rule; what takes longer is looked for less often. */
const leastPollMs = 20;
const mostPollMs = 500;
const progressMs = 10_000;
/** A checkpoint writes all that is dirty: on a busy primary that takes its time. */
const checkpointMs = 30 * 60_000;

/** Those of the segments that are not whole in archivedir. One that is there with other contents is an error. */
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
      throw new PitrError(`"${join(archivedir, segment.name)}" is not the primary's: ${arrival.reason}`, {
        hint: 'Move that file away, and find out who put it there.',
      });
    }
    if (arrival.kind !== 'whole') missing.push(segment);
  }
  return missing;
}

/**
 * Ends one more segment, so that archive_command is called again: an archiver that found this standby unreachable a moment
 * ago lets it rest, and an idle primary would not call for a long time.
 *
 * @returns that segment; undefined if the primary could not be asked
 */
export async function nudgeArchiver({ deps, primary }: BackupContext): Promise<SegmentName | undefined> {
  try {
    await primary.query(writeWalRecordSql);
    return await endSegment(primary);
  } catch (error) {
    // What is waited for may arrive without it; if not, that is what will be said.
    deps.log.debug(`the primary could not be asked to end another segment: ${messageOf(error)}`);
    return undefined;
  }
}

async function endSegment(primary: Primary): Promise<SegmentName> {
  const name = parseWalName((await primary.query(switchWalSql(primary.facts.capabilities)))[0]?.[0] ?? '');
  if (name.kind !== 'segment') throw new PitrError(`the primary names no WAL segment but "${name.name}"`);
  return name;
}

function pollMs(waitedMs: number): number {
  return Math.min(mostPollMs, Math.max(leastPollMs, waitedMs / 10));
}

/** Looks again and again, up to `wal_timeout`, until nothing is missing; returns what still is then. */
async function waitUntil(
  context: BackupContext,
  look: () => Promise<readonly SegmentName[]>,
  onNudge?: (segment: SegmentName) => void,
): Promise<readonly SegmentName[]> {
  const { deps } = context;
  const startMs = deps.monotonicMs();
  let saidMs = startMs;
  let missing = await look();
  while (missing.length > 0) {
    const nowMs = deps.monotonicMs();
    if (nowMs - startMs > deps.settings.wal_timeout * 1000) return missing;
    if (nowMs - saidMs > progressMs) {
      saidMs = nowMs;
      deps.log.notice(`waiting for ${missing.length} WAL segments, the first is ${missing[0]?.name ?? ''}`);
      const ended = await nudgeArchiver(context);
      if (ended !== undefined) onNudge?.(ended);
    }
    await deps.pause(pollMs(nowMs - startMs));
    missing = await look();
  }
  return [];
}

/** Waits for all of them. */
async function waitFor(
  context: BackupContext,
  segments: readonly SegmentName[],
): Promise<readonly SegmentName[]> {
  let missing = segments;
  return waitUntil(context, async () => (missing = await missingOf(context, missing)));
}

/**
 * Waits for this segment, or for one that the primary ends after it: an archiver that had given this standby up may let the first
 * one go before it finds the request to resume.
 */
async function waitForAny(context: BackupContext, first: SegmentName): Promise<boolean> {
  const candidates = [first];
  const missing = await waitUntil(
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
  throw refusal(`segment ${segment.name} did not arrive in "${archivedir}" within ${wal_timeout} s`, {
    detail: [await archiverStatistics(context.primary), ...causes.map((cause) => `- ${cause}`)]
      .filter(Boolean)
      .join('\n'),
    hint: 'Nothing was copied and the standby is as it was. Get the WAL to arrive, then run -B again.',
  });
}

/** Whether the primary is to make a checkpoint at once, and this role may ask for one. */
async function mayCheckpointNow({ deps, primary }: BackupContext): Promise<boolean> {
  if (deps.settings.basebackup_checkpoint !== 'fast') return false;
  return isTrue(await primary.query(mayCheckpointSql(primary.facts.capabilities)));
}

async function switchSegment(context: BackupContext): Promise<SegmentName> {
  const { primary } = context;
  // Either leaves a record, so that there is something in the segment: or the switch would do nothing.
  if (await mayCheckpointNow(context)) await primary.query(checkpointSql, checkpointMs);
  else await primary.query(writeWalRecordSql);
  return endSegment(primary);
}

/** It was here before the primary had ended it. */
function isStale({ facts }: BackupContext, segment: SegmentName): boolean {
  return facts.archived.some(({ name }) => name === segment.name);
}

function refuseStale(context: BackupContext, segment: SegmentName): void {
  if (!isStale(context, segment)) return;
  throw refusal(
    `"${join(context.facts.place.archivedir, segment.name)}" was there before the primary had finished that segment`,
    { hint: 'It is left from another history of this cluster. Move it away, then run -B again.' },
  );
}

/**
 * Proves that WAL of the primary arrives here: asks its archiver to resume, ends a segment there and waits for that
 * segment. Nothing of the standby changes before this has succeeded.
 */
export async function proveWal(context: BackupContext): Promise<void> {
  const { deps, facts } = context;
  const request = join(facts.place.archivedir, resumeRequest);
  await writeDurably(request, `${deps.nonce()}\n`);
  try {
    const segment = await switchSegment(context);
    refuseStale(context, segment);
    deps.log.debug(`waiting for ${segment.name} in ${facts.place.archivedir}`);
    if (!(await waitForAny(context, segment))) await refuseUnproven(context, segment);
  } finally {
    if (await exists(request)) await removeDurably(request);
  }
}

/** All that recovery from this backup must read: from its start to its stop. */
function segmentsOfBackup({ facts, run }: BackupContext): readonly SegmentName[] {
  const { startSegment } = needed(run.label, 'the label');
  const { stopLsn } = needed(run.stopped, 'the end of the backup');
  const layout = layoutOf(facts);
  return listSegments(startSegment, segmentEndingAt(startSegment.timeline, stopLsn, layout), layout);
}

export async function awaitWal(context: BackupContext): Promise<void> {
  const { deps, primary } = context;
  const { wal_timeout, archivedir } = deps.settings;
  context.onEvent({ kind: 'phase', phase: 'wal' });
  const missing = await waitFor(context, segmentsOfBackup(context));
  if (missing.length === 0) return;
  throw new PitrError(
    `the backup needs WAL that did not arrive in "${archivedir}" within ${wal_timeout} s: ${missing.map(({ name }) => name).join(', ')}`,
    {
      detail: [
        await archiverStatistics(primary),
        `archive_command there is "${primary.facts.settings.archiveCommand}"`,
      ]
        .filter(Boolean)
        .join('\n'),
      hint: 'The copy is kept, and the next -B transfers only what has changed. Get the WAL to arrive first; wal_timeout: says how long to wait for it.',
    },
  );
}

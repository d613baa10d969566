import { join } from 'node:path';
import { PitrError } from '../../../../errors.ts';
import { parseBackupLabel, type BackupLabel } from '../../../../postgres/backup-label.ts';
import { formatLsn, segmentEndingAt } from '../../../../postgres/lsn.ts';
import { readIfExists } from '../../../../system/durable.ts';
import { needed, type BackupContext } from '../context.ts';
import { layoutOf } from '../plan.ts';
import { nudgeArchiver } from '../wal/wait-for-wal.ts';

const pollMs = 200;
const nudgeMs = 10_000;

/** The file that the primary archives at the end of a backup: named by where it began. */
function historyFileName(context: BackupContext): string {
  const { startSegment, startLsn } = needed(context.run.label, 'the label');
  const { segmentSize } = layoutOf(context.facts);
  const offset = (startLsn % BigInt(segmentSize)).toString(16).toUpperCase().padStart(8, '0');
  return `${startSegment.name}.${offset}.backup`;
}

async function readHistoryFile(context: BackupContext, path: string): Promise<BackupLabel | undefined> {
  const content = await readIfExists(path);
  if (content === undefined) return undefined;
  const found = parseBackupLabel(content.toString('utf8'), path);
  return found.label === needed(context.run.record, 'the record').label && found.stop !== undefined
    ? found
    : undefined;
}

/** Learns where the backup ended, which pg_basebackup does not tell: from the file that the primary archives about it. */
export async function awaitStop(context: BackupContext): Promise<void> {
  const { deps, facts, run } = context;
  const { archivedir, wal_timeout } = deps.settings;
  context.onEvent({ kind: 'phase', phase: 'wal' });
  const name = historyFileName(context);
  const startMs = deps.monotonicMs();
  let nudgedMs = startMs;
  let found = await readHistoryFile(context, join(archivedir, name));
  while (found?.stop === undefined) {
    const nowMs = deps.monotonicMs();
    if (nowMs - startMs > wal_timeout * 1000) {
      throw new PitrError(
        `the primary's "${name}" did not arrive in "${archivedir}" within ${wal_timeout} s`,
        {
          hint: 'It says where the backup ended. The copy is kept, but -B must be run again: get the WAL to arrive first.',
        },
      );
    }
    if (nowMs - nudgedMs > nudgeMs) {
      nudgedMs = nowMs;
      deps.log.notice(`waiting for ${name}`);
      await nudgeArchiver(context);
    }
    await deps.pause(pollMs);
    found = await readHistoryFile(context, join(archivedir, name));
  }
  const { lsn } = found.stop;
  const { timeline } = found.startSegment;
  run.stopped = { stopLsn: lsn, labelFile: undefined, tablespaceMap: undefined };
  run.record = {
    ...needed(run.record, 'the record'),
    stopLsn: formatLsn(lsn),
    stopSegment: segmentEndingAt(timeline, lsn, layoutOf(facts)).name,
  };
}

import { join } from 'node:path';
import { PitrError } from '../../../../errors.ts';
import { type BackupLabel, parseBackupLabel } from '../../../../postgres/backup-label.ts';
import { readIfExists } from '../../../../system/durable.ts';
import { mustBecome } from '../../../server/wait.ts';
import type { BackupContext } from '../context.ts';
import { type BackupFacts, layoutOf } from '../facts.ts';
import { type StepResults, stopAt } from '../results.ts';
import { nudgesAtTimes } from '../wal/nudge.ts';

/** The file that the primary archives at the end of a backup. Its name contains the start of the backup. */
function historyFileName(facts: BackupFacts, { startSegment, startLsn }: BackupLabel): string {
  const { segmentSize } = layoutOf(facts);
  const offset = (startLsn % BigInt(segmentSize)).toString(16).toUpperCase().padStart(8, '0');
  return `${startSegment.text}.${offset}.backup`;
}

async function readStop(path: string, label: string): Promise<bigint | undefined> {
  const content = await readIfExists(path);
  if (content === undefined) return undefined;
  const found = parseBackupLabel(content.toString('utf8'), path);
  return found.label === label ? found.stop?.lsn : undefined;
}

/** Determines where the backup ended from the file that the primary archives, because pg_basebackup does not report it. */
export async function awaitStop(
  context: BackupContext,
  label: BackupLabel,
): Promise<StepResults['await-stop']> {
  const { deps, facts } = context;
  const { archivedir, wal_timeout } = deps.settings;
  context.onEvent({ kind: 'phase', phase: 'wal' });
  const name = historyFileName(facts, label);
  const nudge = nudgesAtTimes(context);
  const stopLsn = await mustBecome<bigint>(
    deps,
    wal_timeout,
    async () => {
      const value = await readStop(join(archivedir, name), facts.label);
      if (value !== undefined) return { kind: 'done', value };
      await nudge(name);
      return { kind: 'waiting', progress: '' };
    },
    () =>
      new PitrError(`the primary's "${name}" did not arrive in "${archivedir}" within ${wal_timeout} s`, {
        hint: 'That file shows where the backup ended. The copy is kept. Make sure that WAL arrives, then run -B again.',
      }),
  );
  return { stopLsn, record: stopAt(facts, label, stopLsn) };
}

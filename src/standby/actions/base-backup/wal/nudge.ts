import { messageOf, PitrError } from '../../../../errors.ts';
import { switchWalSql, writeWalRecordSql } from '../../../../postgres/backup-sql.ts';
import { parseWalName, type SegmentName } from '../../../../postgres/wal-name.ts';
import type { Primary } from '../../../primary/primary.ts';
import type { BackupContext } from '../context.ts';

type Nudged = Pick<BackupContext, 'deps' | 'primary'>;

const nudgeMs = 10_000;

export async function endSegment(primary: Primary): Promise<SegmentName> {
  const name = parseWalName((await primary.query(switchWalSql(primary.facts.capabilities)))[0]?.[0] ?? '');
  if (name.kind !== 'segment') throw new PitrError(`the primary names no WAL segment but "${name.text}"`);
  return name;
}

/**
 * Ends one more segment, so that archive_command is called again. An archiver that could not reach this standby a
 * moment ago leaves it alone for a while, and an idle primary would not call for a long time.
 *
 * @returns that segment; undefined if the primary could not be asked
 */
export async function nudgeArchiver({ deps, primary }: Nudged): Promise<SegmentName | undefined> {
  try {
    await primary.query(writeWalRecordSql);
    return await endSegment(primary);
  } catch (error) {
    // The WAL may arrive without this. If it does not, the wait reports its own error.
    deps.log.debug(`the primary could not be asked to end another segment: ${messageOf(error)}`);
    return undefined;
  }
}

/** For repeated polling: every ten seconds it reports what the program waits for, and nudges the archiver. */
export function nudgesAtTimes(nudged: Nudged): (waitingFor: string) => Promise<SegmentName | undefined> {
  const { deps } = nudged;
  let lastMs = deps.monotonicMs();
  return async (waitingFor) => {
    const nowMs = deps.monotonicMs();
    if (nowMs - lastMs <= nudgeMs) return undefined;
    lastMs = nowMs;
    deps.log.notice(`waiting for ${waitingFor}`);
    return nudgeArchiver(nudged);
  };
}

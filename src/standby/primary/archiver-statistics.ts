import { PitrError } from '../../errors.ts';
import { archiverStatisticsSql } from '../../postgres/server-sql.ts';
import { systemClock } from '../../system/clock.ts';
import type { Primary } from './primary.ts';

type Asked = Pick<Primary, 'facts' | 'queryAside'>;

const stopGraceMs = 10_000;

/** The primary's statistics of its archiving (9.4 and later), as a line for a message about WAL that does not arrive. */
export async function archiverStatistics({ facts, queryAside }: Asked): Promise<string | undefined> {
  if (!facts.capabilities.hasStatArchiver) return undefined;
  // Even if the primary cannot be reached any more, the message about the missing WAL must appear.
  const [row] = await queryAside(archiverStatisticsSql).catch(() => []);
  if (row === undefined) return undefined;
  const [archived = '', lastArchived = '', archivedAt = '', failed = '', lastFailed = '', failedAt = ''] =
    row;
  const good = lastArchived === '' ? 'none yet' : `the last was ${lastArchived} at ${archivedAt}`;
  const bad = lastFailed === '' ? 'none' : `the last was ${lastFailed} at ${failedAt}`;
  return `pg_stat_archiver on the primary: ${archived} archived (${good}), ${failed} failures (${bad})`;
}

/** Describes the primary's archiving, as the detail of a message about WAL that does not arrive. */
export async function describeArchiving(primary: Asked): Promise<string> {
  const command = primary.facts.settings.archiveCommand;
  return [await archiverStatistics(primary), `archive_command there is "${command}"`]
    .filter(Boolean)
    .join('\n');
}

/** @param outcome what has become of the backup */
export async function unarchived(
  primary: Asked,
  walTimeoutS: number,
  outcome: string,
  cause?: unknown,
): Promise<PitrError> {
  return new PitrError(`the primary has not archived the WAL of the backup within ${walTimeoutS} s`, {
    detail: await describeArchiving(primary),
    hint: `${outcome} The primary's server log contains the output of archive_command. When it succeeds, run this again; wal_timeout: says how long to wait.`,
    cause,
  });
}

/**
 * Ends a backup by `stop`. PostgreSQL makes that wait until the WAL of the backup is archived; if archiving fails, it
 * waits forever.
 *
 * @param outcome what has become of the backup, for the message
 */
export async function explainUnarchived<T>(
  primary: Asked,
  walTimeoutS: number,
  outcome: string,
  stop: (limitMs: number) => Promise<T>,
): Promise<T> {
  const limitMs = walTimeoutS * 1000 + stopGraceMs;
  const { monotonicMs } = systemClock();
  const startedMs = monotonicMs();
  try {
    return await stop(limitMs);
  } catch (error) {
    if (!(error instanceof PitrError) || monotonicMs() - startedMs < limitMs) throw error;
    throw await unarchived(primary, walTimeoutS, outcome, error);
  }
}

import { PitrError } from '../../../../errors.ts';
import type { TimelineEntry } from '../../../../postgres/history.ts';
import { formatLsn, parseLsn } from '../../../../postgres/lsn.ts';
import type { Shutdown } from '../../../../verbs/verbs.ts';

/**
 * The new timeline must begin where the old primary has ended, or that one could not follow.
 *
 * @param last the timeline that the server here left by its promotion, by its history
 */
export function requireFork(last: TimelineEntry | undefined, { timeline, end }: Shutdown): void {
  if (last !== undefined && last.timeline !== timeline) {
    throw new PitrError(
      `the server here has left timeline ${last.timeline}, and the old primary was on timeline ${timeline}: this host had followed another server`,
      { hint: 'Find out which server is to be the primary, and stop the other one.' },
    );
  }
  const fork = last?.end;
  if (fork?.kind === 'lsn' && fork.lsn >= parseLsn(end)) return;
  const where = fork?.kind === 'lsn' ? formatLsn(fork.lsn) : 'an unknown location';
  throw new PitrError(
    `the new timeline begins at ${where}, before the end of the old primary's WAL, ${formatLsn(parseLsn(end))}`,
    { hint: 'The old primary cannot follow it: make it a standby by a new base backup.' },
  );
}

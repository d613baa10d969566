import { dirname, join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { readIfExists, sizeOf, systemErrorCode } from '../../system/durable.ts';
import { appendPrivately, removeFile, rename } from '../../system/files.ts';
import { quoted } from '../../system/printable.ts';
import type { ArchiverDeps } from '../deps.ts';
import { shipperPlaces } from './places.ts';

// Operators look into PostgreSQL's log, and only archive_command writes there. A lane that changes its state leaves a line; as
// long as there is one the launcher leaves the next segment to Node, which says it, once.

export type NewsLevel = 'notice' | 'warning';

/** The limit of the text, because it may take days until PostgreSQL calls archive_command. */
const mostBytes = 8_192;

export async function leaveNews(
  { layout, log }: ArchiverDeps,
  level: NewsLevel,
  text: string,
  since: string,
): Promise<void> {
  const { news } = shipperPlaces(layout);
  try {
    if ((await sizeOf(news)) < mostBytes)
      await appendPrivately(news, `${level} ${quoted(text)} (since ${since})\n`);
  } catch (error) {
    log.debug(`cannot leave a line for PostgreSQL's log: ${messageOf(error)}`);
  }
}

/** Reports the news that was left, in the log of the caller. Two callers at once do not report the same. */
export async function sayNews({ layout, log, pid }: ArchiverDeps): Promise<void> {
  const { news } = shipperPlaces(layout);
  const taken = join(dirname(news), `.news.${pid}.tmp`);
  try {
    await rename(news, taken);
    for (const line of (await readIfExists(taken))?.toString('utf8').split('\n') ?? []) {
      const [level = '', text = ''] = line.split(/ (.*)/);
      if (level === 'notice' || level === 'warning') log[level](text);
    }
    await removeFile(taken);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT')
      log.warning(`cannot report the news of the standbys: ${messageOf(error)}`);
  }
}

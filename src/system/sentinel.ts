import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfExists, writeDurably } from './durable.ts';

/** The file that proves that an archive directory is the right one, and mounted: `archivedir/.pitrtools`. */
export interface Sentinel {
  readonly systemIdentifier: string;
  readonly standby: string;
  readonly primaryPgdata: string | undefined;
  /** Set by a failover: from then on no primary of an older timeline may deliver here. */
  readonly promotedAtTimeline: number | undefined;
}

export const sentinelName = '.pitrtools';

export function formatSentinel(sentinel: Sentinel): string {
  const lines = [`system_identifier: ${sentinel.systemIdentifier}`, `standby: ${sentinel.standby}`];
  if (sentinel.primaryPgdata !== undefined) lines.push(`primary_pgdata: ${sentinel.primaryPgdata}`);
  if (sentinel.promotedAtTimeline !== undefined)
    lines.push(`promoted_at_timeline: ${sentinel.promotedAtTimeline}`);
  return `${lines.join('\n')}\n`;
}

/** Undefined for a text without a system identifier: such a file proves nothing. */
export function parseSentinel(text: string): Sentinel | undefined {
  const values = new Map(
    text.split('\n').flatMap((line) => {
      const colon = line.indexOf(': ');
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 2)] as const];
    }),
  );
  const systemIdentifier = values.get('system_identifier');
  if (systemIdentifier === undefined || !/^\d+$/.test(systemIdentifier)) return undefined;
  const promoted = values.get('promoted_at_timeline');
  if (promoted !== undefined && !/^\d{1,10}$/.test(promoted)) return undefined;
  return {
    systemIdentifier,
    standby: values.get('standby') ?? '',
    primaryPgdata: values.get('primary_pgdata'),
    promotedAtTimeline: promoted === undefined ? undefined : Number(promoted),
  };
}

export async function readSentinel(archivedir: string): Promise<Sentinel | undefined> {
  const content = await readIfExists(join(archivedir, sentinelName));
  return content === undefined ? undefined : parseSentinel(content.toString('utf8'));
}

/**
 * A sentinel that was written, and the directory in which it was written: the path alone may by now lead to another
 * directory.
 */
export interface WrittenSentinel {
  readonly directory: string;
  readonly file: string;
}

async function identityOf(archivedir: string): Promise<WrittenSentinel> {
  const idOf = async (path: string) => {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev.toString()}:${ino.toString()}`;
  };
  return { directory: await idOf(archivedir), file: await idOf(join(archivedir, sentinelName)) };
}

export async function writeSentinel(archivedir: string, sentinel: Sentinel): Promise<WrittenSentinel> {
  await writeDurably(join(archivedir, sentinelName), formatSentinel(sentinel));
  return identityOf(archivedir);
}

/** Whether the sentinel that exists there now is the one that was written, in the same directory. */
export async function isStillThere(archivedir: string, written: WrittenSentinel): Promise<boolean> {
  const now = await identityOf(archivedir).catch(() => undefined);
  return now?.directory === written.directory && now.file === written.file;
}

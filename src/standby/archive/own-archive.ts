import { readdir } from 'node:fs/promises';
import { messageOf, refusal } from '../../errors.ts';
import { type WalName, walNamesAmong } from '../../postgres/wal-name.ts';
import { readSentinel, type Sentinel, sentinelName } from '../../system/sentinel.ts';
import type { DataDirectory } from '../server/data-directory.ts';

/** The contents of archivedir. */
export interface Archive {
  readonly directory: string;
  readonly sentinel: Sentinel;
  readonly files: readonly WalName[];
}

/** Reads archivedir, or reports why it cannot be relied on: an unmounted archive looks empty. */
export async function readArchive(
  directory: string,
): Promise<{ kind: 'archive'; archive: Archive } | { kind: 'unusable'; reason: string }> {
  try {
    const sentinel = await readSentinel(directory);
    const names = await readdir(directory);
    if (sentinel === undefined) {
      const reason = `it has no ${sentinelName}: it is not the archive, or not mounted`;
      return { kind: 'unusable', reason };
    }
    return { kind: 'archive', archive: { directory, sentinel, files: walNamesAmong(names) } };
  } catch (error) {
    return { kind: 'unusable', reason: messageOf(error) };
  }
}

export async function requireArchive(
  directory: string,
  of: Pick<DataDirectory, 'pgdata' | 'control'>,
): Promise<Archive> {
  const read = await readArchive(directory);
  if (read.kind === 'unusable') {
    throw refusal(`cannot use archivedir "${directory}"`, {
      detail: read.reason,
      hint: 'Mount it, or make it with: cmd_standby -C … -I',
    });
  }
  const { sentinel } = read.archive;
  const own = of.control?.systemIdentifier;
  if (own === undefined || own === sentinel.systemIdentifier) return read.archive;
  throw refusal(`archivedir "${directory}" holds WAL of another cluster than "${of.pgdata}"`, {
    detail: `system identifier ${sentinel.systemIdentifier} there, ${own} here`,
    hint: 'Check archivedir: and pgdata:.',
  });
}

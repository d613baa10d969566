import { readdir } from 'node:fs/promises';
import { messageOf, type PitrError, refusal } from '../../errors.ts';
import { type WalName, walNamesAmong } from '../../postgres/wal-name.ts';
import { readSentinel, type Sentinel, sentinelName } from '../../system/sentinel.ts';
import type { DataDirectory } from '../server/data-directory.ts';

/** The contents of archivedir. */
export interface Archive {
  readonly directory: string;
  readonly sentinel: Sentinel;
  readonly files: readonly WalName[];
}

/** The archive, or why it cannot be relied on. */
export type ArchiveFact =
  | { readonly kind: 'archive'; readonly archive: Archive }
  | { readonly kind: 'unusable'; readonly reason: string };

/** An unmounted archive looks empty. */
async function readArchive(directory: string): Promise<Archive | string> {
  try {
    const sentinel = await readSentinel(directory);
    const names = await readdir(directory);
    if (sentinel === undefined) return `it has no ${sentinelName}: it is not the archive, or not mounted`;
    return { directory, sentinel, files: walNamesAmong(names) };
  } catch (error) {
    return messageOf(error);
  }
}

type Owner = Pick<DataDirectory, 'pgdata' | 'control'>;

function refusalOfOther({ directory, sentinel }: Archive, { pgdata, control }: Owner): PitrError | undefined {
  const own = control?.systemIdentifier;
  if (own === undefined || own === sentinel.systemIdentifier) return undefined;
  return refusal(`archivedir "${directory}" holds WAL of another cluster than "${pgdata}"`, {
    detail: `system identifier ${sentinel.systemIdentifier} there, ${own} here`,
    hint: 'Check archivedir: and pgdata:.',
  });
}

export async function observeArchive(directory: string, owner: Owner): Promise<ArchiveFact> {
  const archive = await readArchive(directory);
  if (typeof archive === 'string') return { kind: 'unusable', reason: archive };
  const other = refusalOfOther(archive, owner);
  return other === undefined ? { kind: 'archive', archive } : { kind: 'unusable', reason: other.message };
}

export async function requireArchive(directory: string, owner: Owner): Promise<Archive> {
  const archive = await readArchive(directory);
  if (typeof archive === 'string')
    throw refusal(`cannot use archivedir "${directory}"`, {
      detail: archive,
      hint: 'Mount it, or make it with: cmd_standby -C … -I',
    });
  const other = refusalOfOther(archive, owner);
  if (other !== undefined) throw other;
  return archive;
}

import { readdir, readlink, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, refusal } from '../../errors.ts';
import { parseWalName } from '../../postgres/wal-name.ts';
import { requireOwnDirectory, systemErrorCode } from '../../system/durable.ts';

/** `pg_wal` (`pg_xlog`) in pgdata if it is a symbolic link: a base backup empties the directory that it leads to. */
export interface WalLink {
  readonly path: string;
  /** The target as the link contains it. */
  readonly text: string;
  /** The path without links; undefined if the link leads to nothing that we can reach. */
  readonly directory: string | undefined;
  readonly problem: string | undefined;
}

/** If nothing can be read at all, the check of pgdata itself has reported that. */
const noLink = new Set(['EINVAL', 'ENOENT', 'ENOTDIR', 'EACCES']);

export async function readWalLink(pgdata: string, walDirName: string): Promise<WalLink | undefined> {
  const path = join(pgdata, walDirName);
  const text = await readlink(path).catch((error: unknown) => {
    if (noLink.has(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    return { path, text, directory: await realpath(path), problem: undefined };
  } catch (error) {
    return { path, text, directory: undefined, problem: messageOf(error) };
  }
}

/**
 * Names in a WAL directory besides WAL files: the server's own, leftovers of a killed run of ours, and a file system's
 * own entries.
 */
const serversOwn =
  /^(archive_status|summaries|xlogtemp\.\d+|RECOVERY(XLOG|HISTORY)(\.pitrtools)?|\.{1,2}pitrtools-probe-.*|lost\+found)$/;

function isServers(name: string): boolean {
  return serversOwn.test(name) || parseWalName(name).kind !== 'not-wal';
}

/** Whether a name is removed when that directory is emptied; a file system's own directory is not ours to remove. */
export function isEmptied(name: string): boolean {
  return isServers(name) && name !== 'lost+found';
}

const shownNames = 5;

/** Refuses a directory that does not exist, is not ours, or is no server's WAL directory. */
export async function requireWalDirectory({ path, text, directory, problem }: WalLink): Promise<void> {
  if (directory === undefined) {
    throw refusal(`"${path}" is a link to "${text}", which is not there`, {
      detail: problem,
      hint: `Make that directory, owned by the user who runs this program, or mount it; or remove the link: rm ${path}`,
    });
  }
  await requireOwnDirectory(directory);
  const others = (await readdir(directory)).filter((name) => !isServers(name)).sort();
  if (others.length === 0) return;
  const more = others.length > shownNames ? `, and ${others.length - shownNames} more` : '';
  throw refusal(
    `"${path}" is a link to "${directory}", which holds more than WAL: ${others.slice(0, shownNames).join(', ')}${more}`,
    { hint: 'A base backup empties that directory: give the link one of its own, or move the rest away.' },
  );
}

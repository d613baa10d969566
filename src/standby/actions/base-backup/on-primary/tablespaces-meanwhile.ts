import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError } from '../../../../errors.ts';
import { parseTablespaces, type Tablespace, tablespacesSql } from '../../../../postgres/backup-sql.ts';
import type { Query } from '../../../primary/session.ts';
import type { BackupContext } from '../context.ts';
import { receivingDirectory } from '../streaming/places.ts';

/** Those that are not among the known ones, or lie elsewhere now. One that was dropped is no matter: the WAL drops it here, too. */
export function findNew(
  known: readonly Pick<Tablespace, 'oid' | 'location'>[],
  now: readonly Tablespace[],
): readonly Tablespace[] {
  const locations = new Map(known.map(({ oid, location }) => [oid, location]));
  return now.filter(({ oid, location }) => locations.get(oid) !== location);
}

function refuseNew(found: readonly Tablespace[]): void {
  const [first] = found;
  if (first === undefined) return;
  throw new PitrError(`tablespace "${first.name}" was made or moved meanwhile: run -B again`, {
    detail: found.map(({ name, location }) => `"${name}" in "${location}" on the primary`).join('\n'),
    hint: 'This run did not know it when it planned where the tablespaces go, so its files would be missing in the copy.',
  });
}

async function askNew({ facts }: BackupContext, query: Query): Promise<readonly Tablespace[]> {
  const { capabilities, tablespaces } = facts.primary;
  return findNew(tablespaces, parseTablespaces(await query(tablespacesSql(capabilities))));
}

/**
 * Right after the start of the backup. What was made before that start is not made anew by its WAL, and what is copied
 * was planned from an earlier look. One that was made since the start, too, ends the run: that costs nothing yet.
 */
export async function refuseNewTablespaces(context: BackupContext): Promise<void> {
  refuseNew(await askNew(context, context.primary.query));
}

/** The numbers in a `tablespace_map`. */
function oidsIn(map: string): readonly string[] {
  return [...map.matchAll(/^(\d+) /gm)].map(([, oid = '']) => oid);
}

/**
 * A tablespace whose link was there when the backup began, but whose transaction had not ended (it may wait for a
 * synchronous standby), was not to be seen then.
 */
export async function refuseNewInMap(context: BackupContext, map: string | undefined): Promise<void> {
  const known = new Set(context.facts.primary.tablespaces.map(({ oid }) => oid));
  const unknown = oidsIn(map ?? '').filter((oid) => !known.has(oid));
  if (unknown.length === 0) return;
  refuseNew((await askNew(context, context.primary.query)).filter(({ oid }) => unknown.includes(oid)));
}

/** The same for what pg_basebackup received, by its links: the server has made them of the tablespaces that it sent. */
export async function refuseNewReceived(context: BackupContext): Promise<void> {
  const directory = join(receivingDirectory(context.facts.place), 'pg_tblspc');
  const linked = new Set<string>();
  for (const name of await readdir(directory))
    if ((await lstat(join(directory, name))).isSymbolicLink()) linked.add(name);
  // The session that is held open may have been forgotten by a firewall meanwhile.
  const found = await askNew(context, context.primary.queryAside);
  refuseNew(found.filter(({ oid }) => linked.has(oid)));
}

import { readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError, refusal } from '../../../../errors.ts';
import { parseTablespaces, type Tablespace, tablespacesSql } from '../../../../postgres/backup-sql.ts';
import { removeTree } from '../../../../system/files.ts';
import { isServersName } from '../../../host/tablespaces.ts';
import type { Query } from '../../../primary/session.ts';
import type { BackupContext } from '../context.ts';
import { receivingDirectory } from '../streaming/places.ts';

/** Tablespaces that are new or have moved. A dropped one needs no attention, because WAL replay drops it here, too. */
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
 * Checks this right after the start of the backup. WAL replay does not make a tablespace that was made before the
 * start, and the plan is older. A tablespace that was made since the start ends the run as well: so early that costs
 * nothing.
 */
export async function refuseNewTablespaces(context: BackupContext): Promise<void> {
  refuseNew(await askNew(context, context.primary.query));
}

/**
 * Refuses if the primary still has a tablespace whose directory was not found: it was not dropped, and a copy without its files
 * would be worthless.
 */
export async function requireDropped(
  { facts, primary }: Pick<BackupContext, 'facts' | 'primary'>,
  { oid, name }: Pick<Tablespace, 'oid' | 'name'>,
  place: string,
): Promise<void> {
  const now = parseTablespaces(await primary.query(tablespacesSql(facts.primary.capabilities)));
  if (!now.some((tablespace) => tablespace.oid === oid)) return;
  throw refusal(`there is no ${place}, where the files of tablespace "${name}" should be`, {
    detail: 'The primary still has this tablespace.',
    hint: 'Find out whether its file system is mounted there; if the tablespace is just being dropped, run -B again.',
  });
}

/** The oids in a `tablespace_map`. */
function oidsIn(map: string): readonly string[] {
  return [...map.matchAll(/^(\d+) /gm)].map(([, oid = '']) => oid);
}

/**
 * The link of a tablespace may exist when the backup begins although its transaction has not ended (it may wait for a
 * synchronous standby). Such a tablespace was not visible then.
 */
export async function refuseNewInMap(context: BackupContext, map: string | undefined): Promise<void> {
  const known = new Set(context.facts.primary.tablespaces.map(({ oid }) => oid));
  const unknown = oidsIn(map ?? '').filter((oid) => !known.has(oid));
  if (unknown.length === 0) return;
  refuseNew((await askNew(context, context.primary.query)).filter(({ oid }) => unknown.includes(oid)));
}

/** pg_basebackup wrote it to the path that it has on the primary, where nothing was: the next run would take it for another cluster's. */
async function removeUnplaced({ facts }: BackupContext, link: string): Promise<void> {
  const target = await readlink(link);
  const names = await readdir(target).catch(() => []);
  for (const name of names.filter((each) => isServersName(facts.primary.capabilities, undefined, each)))
    await removeTree(join(target, name));
}

/** The same for the files that pg_basebackup received, by the links that it made for the tablespaces. */
export async function refuseNewReceived(context: BackupContext): Promise<void> {
  const directory = join(receivingDirectory(context.facts.place), 'pg_tblspc');
  const entries = await readdir(directory, { withFileTypes: true });
  const linked = new Set(entries.filter((entry) => entry.isSymbolicLink()).map(({ name }) => name));
  // A firewall may have dropped the idle session meanwhile.
  const found = await askNew(context, context.primary.queryAside);
  const received = found.filter(({ oid }) => linked.has(oid));
  for (const { oid } of received) await removeUnplaced(context, join(directory, oid));
  refuseNew(received);
}

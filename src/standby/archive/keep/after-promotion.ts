import { messageOf } from '../../../errors.ts';
import { keptSlot } from '../../../postgres/kept-slot.ts';
import type { SegmentName } from '../../../postgres/wal-name.ts';
import { readArchiverPart } from '../../host/archiver-part.ts';
import type { Server } from '../../server/server.ts';
import type { ServerConfiguration } from '../../server/server-configuration.ts';
import { withLocalServer } from '../../server/server-state.ts';
import { fillArchive, type Filled } from './fill-archive.ts';
import { dropUnfitSlot, obstacleInFiles, removeSlot } from './leftover.ts';
import { askSlot, hasKeptSlot } from './slot.ts';

function describe(names: readonly SegmentName[]): string {
  const [first] = names;
  const last = names.at(-1);
  if (first === undefined || last === undefined) return 'no segment';
  return names.length === 1
    ? `segment ${first.text}`
    : `${names.length} segments, ${first.text} to ${last.text}`;
}

function sayFilled({ deps }: Server, { copied, missing }: Filled): void {
  const { archivedir } = deps.settings;
  if (copied.length > 0)
    deps.log.notice(
      `${describe(copied)}, which only streaming had brought: copied from pg_wal to ${archivedir}`,
    );
  if (missing.length > 0)
    deps.log.warning(
      `neither ${archivedir} nor pg_wal holds ${describe(missing)}: standbys that lack this WAL need a new base backup`,
    );
}

/** Where the slot stands; undefined if there is none, or if the server does not say. */
async function slotLocation(server: Server): Promise<bigint | undefined> {
  const { capabilities, pgdata } = server;
  if (capabilities.slotAdvanceFunction === undefined || !(await hasKeptSlot(pgdata))) return undefined;
  const answer = await withLocalServer(server, (sql) => askSlot(sql, capabilities));
  return answer.kind === 'answered' ? answer.value.slot?.restartLsn : undefined;
}

/** Only the archiver of this host knows when the other standbys have the WAL. If there is none, nobody would drop the slot. */
async function partWithSlot(server: Server): Promise<void> {
  const { deps } = server;
  const part = await readArchiverPart(deps);
  if (part.kind === 'ready') return;
  await removeSlot(server);
  const why = part.kind === 'missing' ? `there is no ${part.iniFile}` : part.reason;
  deps.log.notice(
    `replication slot "${keptSlot}" is dropped: no archiver of this host feeds other standbys (${why})`,
  );
}

async function copyToArchive(server: Server, from: bigint): Promise<void> {
  try {
    sayFilled(server, await fillArchive(server, from));
  } catch (error) {
    server.deps.log.warning(
      `WAL that only streaming had brought could not be copied to archivedir: ${messageOf(error)}`,
      { hint: `As long as replication slot "${keptSlot}" exists, it stays in pg_wal.` },
    );
  }
}

/** Before the promoted server is restarted with a configuration with which it can have no slot. */
export async function fitSlotAfterPromotion(server: Server, conf: ServerConfiguration): Promise<void> {
  if (!(await hasKeptSlot(server.pgdata))) return;
  const obstacle = await obstacleInFiles(server, 'failover', conf);
  if (obstacle === undefined) return;
  const from = await slotLocation(server);
  if (from !== undefined) await copyToArchive(server, from);
  await dropUnfitSlot(server, obstacle, conf.configFile);
}

/**
 * Brings what only this host's pg_wal holds into its archive, and leaves the slot for the standbys that lack it. A full
 * or missing archive is no failure of the failover.
 *
 * @param redoLsn the last restartpoint before the promotion, if that is known
 */
export async function keepAfterPromotion(server: Server, redoLsn: bigint | undefined): Promise<void> {
  const slot = await slotLocation(server);
  const from = slot !== undefined && (redoLsn === undefined || slot < redoLsn) ? slot : redoLsn;
  if (from !== undefined) await copyToArchive(server, from);
  await finish(server);
  if (await hasKeptSlot(server.pgdata))
    server.deps.log.notice(
      `replication slot "${keptSlot}" keeps WAL for the other standbys until cmd_archiver --ship has seen that they have it`,
    );
}

async function finish(server: Server): Promise<void> {
  try {
    if (await hasKeptSlot(server.pgdata)) await partWithSlot(server);
  } catch (error) {
    server.deps.log.warning(messageOf(error));
  }
}

/** The same for a slot on a server that was promoted: that failover may have been killed in its last step. */
export async function finishKeeping(server: Server): Promise<void> {
  const from = await slotLocation(server);
  if (from !== undefined) await copyToArchive(server, from);
  await finish(server);
}

import { join } from 'node:path';
import { keptSlot, keptSlotDirectory } from '../../postgres/kept-slot.ts';
import { fsyncPath } from '../../system/durable.ts';
import { removeTree } from '../../system/files.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import { parametersOfFiles, startParameters } from '../server/parameters.ts';
import type { Server } from '../server/server.ts';
import type { ConfigurationRole, ServerConfiguration } from '../server/server-configuration.ts';
import { mustAnswer } from '../server/server-state.ts';
import { dropSlot, hasKeptSlot } from './slot.ts';

/** Drops the slot: by the server if it runs, else by removing its files. */
export async function removeSlot(server: Server): Promise<void> {
  const { pgdata } = server;
  if (!(await hasKeptSlot(pgdata))) return;
  if ((await readPostmaster(pgdata)).kind === 'running') {
    await mustAnswer(server, `cannot drop replication slot "${keptSlot}"`, dropSlot);
    return;
  }
  await removeTree(join(pgdata, keptSlotDirectory));
  await fsyncPath(join(pgdata, 'pg_replslot'));
}

/** Why a server with this configuration can have no slot; undefined if it can, or if that is not known. */
export async function obstacleInFiles(
  server: Server,
  role: ConfigurationRole,
  configuration: ServerConfiguration,
): Promise<string | undefined> {
  const start = startParameters(server, role, configuration);
  const values = await parametersOfFiles(server, ['max_replication_slots', 'wal_level'], start);
  if (values.get('max_replication_slots') === '0')
    return 'max_replication_slots is 0, and the slot needs at least 1';
  if (values.get('wal_level') === 'minimal') return 'wal_level is minimal, and the slot needs replica';
  return undefined;
}

/** A server that finds a slot and may have none does not start. */
export async function fitSlot(
  server: Server,
  role: ConfigurationRole,
  configuration: ServerConfiguration,
): Promise<void> {
  if (!(await hasKeptSlot(server.pgdata))) return;
  const obstacle = await obstacleInFiles(server, role, configuration);
  if (obstacle === undefined) return;
  server.deps.log.warning(
    `replication slot "${keptSlot}" is dropped, and the WAL that only it keeps may be removed: with it the server would not start, because ${obstacle}`,
    { hint: `Set it in ${configuration.configFile}, or in the file that is copied there.` },
  );
  await removeSlot(server);
}

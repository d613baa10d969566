import { join } from 'node:path';
import { keptSlot, keptSlotDirectory } from '../../../postgres/kept-slot.ts';
import { fsyncPath } from '../../../system/durable.ts';
import { removeTree } from '../../../system/files.ts';
import { readPostmaster } from '../../../system/postmaster.ts';
import { parametersOfFiles, type ParameterValues, startParameters } from '../../server/parameters.ts';
import type { Server } from '../../server/server.ts';
import type { ConfigurationRole, ServerConfiguration } from '../../server/server-configuration.ts';
import { mustAnswer } from '../../server/server-state.ts';
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

/** Why a server that is started so can have no slot; undefined if it can, or if that is not known. */
async function obstacleOf(server: Server, start: ParameterValues): Promise<string | undefined> {
  const values = await parametersOfFiles(server, ['max_replication_slots', 'wal_level'], start);
  if (values.get('max_replication_slots') === '0')
    return 'max_replication_slots is 0, and the slot needs at least 1';
  if (values.get('wal_level') === 'minimal') return 'wal_level is minimal, and the slot needs replica';
  return undefined;
}

/** The same before the files of that role are copied to pgdata. */
export function obstacleInFiles(
  server: Server,
  role: ConfigurationRole,
  configuration: ServerConfiguration,
): Promise<string | undefined> {
  return obstacleOf(server, startParameters(server, role, configuration));
}

export async function dropUnfitSlot(server: Server, obstacle: string, configFile: string): Promise<void> {
  server.deps.log.warning(
    `replication slot "${keptSlot}" is dropped, and the WAL that only it keeps may be removed: with it the server would not start, because ${obstacle}`,
    { hint: `Set it in ${configFile}, or in the file that is copied there.` },
  );
  await removeSlot(server);
}

/** A server that finds a slot and may have none does not start. Its configuration files must be in place. */
export async function fitSlot(
  server: Server,
  { configFile, parameters }: Pick<ServerConfiguration, 'configFile' | 'parameters'>,
): Promise<void> {
  if (!(await hasKeptSlot(server.pgdata))) return;
  const obstacle = await obstacleOf(server, new Map([...parameters, ['config_file', configFile]]));
  if (obstacle !== undefined) await dropUnfitSlot(server, obstacle, configFile);
}

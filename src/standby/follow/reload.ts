import { PitrError } from '../../errors.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import type { Server } from '../server/server.ts';

/** Has the server read its configuration again. A server that cannot be asked by SQL understands the signal too. */
export async function reloadServer({ pgdata }: Server): Promise<void> {
  const postmaster = await readPostmaster(pgdata);
  if (postmaster.kind !== 'running') throw new PitrError(`no server runs any more in "${pgdata}"`);
  process.kill(postmaster.pid, 'SIGHUP');
}

import { join } from 'node:path';
import { exists, removeDurably, writeDurably } from '../../system/durable.ts';
import type { StandbyDeps } from '../deps.ts';

/** The request to the archiver: it looks for this file whenever it connects, and then ships again. */
const resumeRequest = '.resume';

/** Asks an archiver that has abandoned this standby to ship again; to all others it says nothing. */
export async function askToResume(deps: Pick<StandbyDeps, 'nonce'>, archivedir: string): Promise<void> {
  await writeDurably(join(archivedir, resumeRequest), `${deps.nonce()}\n`);
}

export async function endRequest(archivedir: string): Promise<void> {
  const request = join(archivedir, resumeRequest);
  if (await exists(request)) await removeDurably(request);
}

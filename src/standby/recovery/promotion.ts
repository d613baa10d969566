/**
 * While -F999 promotes the server here, its record says so. The -F999 of another standby writes the same on its own
 * host before it asks here: of two that run at the same moment, at least one sees the other.
 */
import { readPostmaster } from '../../system/postmaster.ts';
import { startOf } from '../../system/processes.ts';
import type { StandbyDeps } from '../deps.ts';
import type { PromotionRecord } from '../host/backup-record/record.ts';

export async function newPromotion({
  nonce,
  settings: { pgdata },
}: Pick<StandbyDeps, 'nonce' | 'settings'>): Promise<PromotionRecord> {
  const postmaster = await readPostmaster(pgdata);
  const pids = [process.pid, ...(postmaster.kind === 'running' ? [postmaster.pid] : [])];
  const processes = pids.flatMap((pid) => {
    const start = startOf(pid);
    return start === undefined ? [] : [{ pid, start }];
  });
  return { run: nonce(), processes };
}

/** A run that was killed may have asked the server to open, as long as that server runs. */
export function isUnderWay({ processes }: PromotionRecord): boolean {
  return processes.some(({ pid, start }) => startOf(pid) === start);
}

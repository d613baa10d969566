/**
 * While -F999 promotes the server here, its record says so. The -F999 of another standby writes the same on its own
 * host before it asks here: of two that run at the same moment, at least one sees the other.
 */
import { readPostmaster } from '../../system/postmaster.ts';
import { startOf } from '../../system/processes.ts';
import type { StandbyDeps } from '../deps.ts';
import type { PromotionRecord } from '../host/backup-record/record.ts';

function namedProcesses(pid: number): PromotionRecord['processes'] {
  const start = startOf(pid);
  return start === undefined ? [] : [{ pid, start }];
}

function isThere({ pid, start }: PromotionRecord['processes'][number]): boolean {
  return startOf(pid) === start;
}

/**
 * As long as nothing can open the server, only this process counts: if it is killed, nothing is under way.
 *
 * @param earlier what is recorded: a killed run may have asked the server to open, and that server may still run
 */
export function newPromotion(
  { nonce }: Pick<StandbyDeps, 'nonce'>,
  earlier: PromotionRecord | undefined,
): PromotionRecord {
  const asked = earlier?.processes.filter(isThere) ?? [];
  return { run: nonce(), processes: [...namedProcesses(process.pid), ...asked] };
}

/** The same once the server may open without this process. */
export async function withServer(promotion: PromotionRecord, pgdata: string): Promise<PromotionRecord> {
  const postmaster = await readPostmaster(pgdata);
  if (postmaster.kind !== 'running') return promotion;
  const { processes } = promotion;
  const added = namedProcesses(postmaster.pid).filter(
    ({ pid, start }) => !processes.some((each) => each.pid === pid && each.start === start),
  );
  return added.length === 0 ? promotion : { ...promotion, processes: [...processes, ...added] };
}

/** A run that was killed may have asked the server to open, as long as that server runs. */
export function isUnderWay({ processes }: PromotionRecord): boolean {
  return processes.some(isThere);
}

/** A recorded promotion, unless it can open no server any more. */
export function stillUnderWay(promotion: PromotionRecord | undefined): PromotionRecord | undefined {
  return promotion !== undefined && isUnderWay(promotion) ? promotion : undefined;
}

import { nameOf, segmentNumber, type WalLayout } from '../../../postgres/lsn.ts';
import type { SegmentName } from '../../../postgres/wal-name.ts';
import type { StandbyDeps } from '../../deps.ts';
import type { DataDirectory } from '../../server/data-directory.ts';
import { serverOf } from '../../server/server.ts';
import { withLocalServer } from '../../server/server-state.ts';
import { numberOf } from './archived-chain.ts';
import { keepStreamedWal } from './keep.ts';
import { askSlot, hasKeptSlot } from './slot.ts';

export type KeptFrom =
  /** `from` is undefined if there is no slot. */
  | { readonly kind: 'known'; readonly from: bigint | undefined }
  | { readonly kind: 'unknown'; readonly reason: string };

/** Where the slot stands, after it was advanced. `isDry`: without advancing it. */
export async function keptFrom(
  deps: StandbyDeps,
  directory: DataDirectory,
  isDry: boolean,
): Promise<KeptFrom> {
  if (isDry) return keptFromNow(deps, directory);
  const visit = await keepStreamedWal(deps, directory);
  switch (visit.kind) {
    case 'held':
      return { kind: 'known', from: visit.from };
    case 'none':
    case 'obstacle':
      return { kind: 'known', from: undefined };
    case 'unknown':
      if (!(await hasKeptSlot(directory.pgdata))) return { kind: 'known', from: undefined };
      return visit;
  }
}

async function keptFromNow(deps: StandbyDeps, directory: DataDirectory): Promise<KeptFrom> {
  if (!(await hasKeptSlot(directory.pgdata))) return { kind: 'known', from: undefined };
  const server = serverOf(deps, directory.capabilities);
  const answer = await withLocalServer(server, (sql) => askSlot(sql, directory.capabilities));
  if (answer.kind !== 'answered') return { kind: 'unknown', reason: answer.reason };
  return { kind: 'known', from: answer.value.slot?.restartLsn };
}

/** `needed`, or the segment with `from` if that is an earlier one. */
export function earlierOf(needed: SegmentName, from: bigint, layout: WalLayout): SegmentName {
  const number = Math.min(segmentNumber(needed, layout), numberOf(from, layout));
  return nameOf(needed.timeline, number, layout);
}

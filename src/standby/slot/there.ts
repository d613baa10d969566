import type { Capabilities } from '../../postgres/capabilities.ts';
import {
  dropByHand,
  dropSlotSql,
  findSlot,
  makeSlotSql,
  mustRenew,
  parseSlots,
  slotSettingsSql,
  slotsSql,
  type SlotsThere,
} from '../../postgres/stream-slot.ts';
import type { LocalSql } from '../../system/local-sql.ts';
import type { StandbyDeps } from '../deps.ts';
import type { Query } from '../primary/session.ts';
import { comesTrue } from '../server/wait.ts';

/** From 9.4 on. */
export async function askSlots(query: Query, capabilities: Capabilities): Promise<SlotsThere> {
  const settings = await query(slotSettingsSql(capabilities));
  return parseSlots(settings, await query(slotsSql(capabilities)));
}

/** Asks the server of this host, by statements whose answers are text, in the same words as another one. */
export function queryOf(sql: LocalSql): Query {
  return async (text) =>
    (await sql(text)).map((row) =>
      Object.values(row).map((value) => (typeof value === 'string' ? value : '')),
    );
}

/** `renewed`: the server had given up what the slot kept. */
export type Made = 'present' | 'made' | 'renewed';

/** Makes the slot, unless it is there and keeps WAL, or is in use. */
export async function ensureSlot(query: Query, capabilities: Capabilities, name: string): Promise<Made> {
  const found = findSlot(await askSlots(query, capabilities), name);
  if (found !== undefined && !mustRenew(found)) return 'present';
  if (found !== undefined) await query(dropSlotSql(name));
  await query(makeSlotSql(capabilities, name));
  return found === undefined ? 'made' : 'renewed';
}

const endS = 5;

/**
 * Drops the slot, once nobody streams by it any more: a connection that has just been closed may last a moment.
 *
 * @returns why it stays; undefined if it is gone
 */
export async function dropUnused(
  deps: StandbyDeps,
  query: Query,
  capabilities: Capabilities,
  name: string,
): Promise<string | undefined> {
  const isGone = async () => {
    await query(dropSlotSql(name));
    return findSlot(await askSlots(query, capabilities), name) === undefined;
  };
  return (await comesTrue(deps, endS, isGone)) ? undefined : `it is in use; by hand: ${dropByHand(name)}`;
}

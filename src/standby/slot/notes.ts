/** The notes of the slots by which the standby here streams or has streamed: `ownSlots` in its record. */
import type { StandbyDeps } from '../deps.ts';
import { changeRecord, type OwnSlot, readRecord } from '../host/backup-record/record.ts';
import type { Server } from '../server/server.ts';
import type { SlotFact } from './own-slot.ts';

/** The server that the INI file names. */
export function addressOf({ settings }: Pick<StandbyDeps, 'settings'>): Omit<OwnSlot, 'name'> {
  const { master_public_ip: host, master_local_ip: localAddress, port } = settings;
  return { host, port, localAddress };
}

function isSame(one: OwnSlot, other: OwnSlot): boolean {
  return one.name === other.name && one.host === other.host && one.port === other.port;
}

/** Before the standby here streams by it: that it is made, and dropped in the end, depends on this note. */
export async function noteOwnSlot({ deps, pgdata }: Server, name: string): Promise<void> {
  const slot = { name, ...addressOf(deps) };
  const { ownSlots = [] } = await readRecord(pgdata);
  const known = ownSlots.find((each) => isSame(each, slot));
  if (known !== undefined && known.localAddress === slot.localAddress) return;
  await changeRecord(pgdata, { ownSlots: [...ownSlots.filter((each) => each !== known), slot] });
}

/** Only of a slot that was seen gone, or that is not left. */
export async function forgetSlot(pgdata: string, slot: OwnSlot): Promise<void> {
  const { ownSlots = [] } = await readRecord(pgdata);
  const left = ownSlots.filter((known) => !isSame(known, slot));
  await changeRecord(pgdata, { ownSlots: left.length === 0 ? undefined : left });
}

/** The slots that were noted, and this one. */
export function withSlot(known: readonly OwnSlot[], slot: SlotFact): readonly OwnSlot[] {
  if (slot.kind !== 'asked') return known;
  const { name, host, port, localAddress } = slot;
  const own = { name, host, port, localAddress };
  return [...known.filter((each) => !isSame(each, own)), own];
}

/** The slots that this standby has left behind, on other servers or because it wants none any more. */
export function leftSlots(
  deps: Pick<StandbyDeps, 'settings'>,
  own: readonly OwnSlot[],
  name: string | undefined,
): OwnSlot[] {
  const { host, port } = addressOf(deps);
  return own.filter((slot) => name === undefined || !isSame(slot, { name, host, port }));
}

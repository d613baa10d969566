/** The slot by which the standby here streams, on the server that the INI file names. */
import { PitrError } from '../../errors.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { findSlot, type SlotsThere } from '../../postgres/stream-slot.ts';
import type { StandbyDeps } from '../deps.ts';
import { withPrimaryQuery } from '../primary/query.ts';
import type { Query } from '../primary/session.ts';
import type { Server } from '../server/server.ts';
import { comesTrue } from '../server/wait.ts';
import type { Objection } from '../steps/objections.ts';
import { addressOf, noteOwnSlot } from './notes.ts';
import { limits, slotObjections } from './objections.ts';
import { ownSlotName, type SlotIdentity } from './own-name.ts';
import { askSlots, ensureSlot } from './there.ts';

/** The slot by which the standby is to stream. */
export type SlotFact =
  /** It streams without one, or not at all. */
  | { readonly kind: 'none' }
  /** The server there does not answer: -P makes the slot once it does. */
  | { readonly kind: 'silent'; readonly name: string; readonly reason: string }
  | {
      readonly kind: 'asked';
      readonly name: string;
      /** The host of that server. */
      readonly host: string;
      readonly port: number;
      /** Where psql finds that server when it runs on its host. */
      readonly localAddress?: string | undefined;
      /** `slot_unlimited` */
      readonly isUnlimited: boolean;
      readonly there: SlotsThere;
    };

export const noSlot: SlotFact = { kind: 'none' };

/** A connection that has just ended may still hold the slot. */
const endS = 5;

async function askUntilUnused(
  { deps, capabilities }: Server,
  query: Query,
  name: string,
): Promise<SlotsThere> {
  let there = await askSlots(query, capabilities);
  const isUnused = async () => {
    if (findSlot(there, name)?.isActive !== true) return true;
    there = await askSlots(query, capabilities);
    return false;
  };
  await comesTrue(deps, endS, isUnused);
  return there;
}

/** The data directory by whose slot is streamed. */
export interface SlotOwner {
  readonly capabilities: Capabilities;
  readonly record: SlotIdentity;
}

/** The wish of the INI file, and the answer of that server. */
export async function askOwnSlot(
  { settings, hostName }: StandbyDeps,
  { capabilities, record }: SlotOwner,
  ask: (name: string) => Promise<SlotsThere>,
): Promise<SlotFact> {
  const name = ownSlotName({ settings, hostName }, capabilities, record);
  if (name === undefined) return noSlot;
  const isUnlimited = settings.slot_unlimited;
  return { kind: 'asked', name, ...addressOf({ settings }), isUnlimited, there: await ask(name) };
}

/** Before a standby is started that does not run yet. */
export async function observeOwnSlot(server: Server, owner: SlotOwner): Promise<SlotFact> {
  const { deps, capabilities } = server;
  try {
    return await askOwnSlot(deps, owner, (name) =>
      withPrimaryQuery(deps, (query) => askUntilUnused(server, query, name)),
    );
  } catch (error) {
    deps.signal.throwIfAborted();
    const name = ownSlotName(deps, capabilities, owner.record);
    if (!(error instanceof PitrError) || name === undefined) throw error;
    return { kind: 'silent', name, reason: [error.message, error.detail].filter(Boolean).join(': ') };
  }
}

/** The same of one that perhaps runs. */
export async function askOwnSlotNow(deps: StandbyDeps, owner: SlotOwner): Promise<SlotFact> {
  return askOwnSlot(deps, owner, () =>
    withPrimaryQuery(deps, (query) => askSlots(query, owner.capabilities)),
  );
}

/**
 * @param cluster of the data directory here; undefined if it is not to be compared
 * @param mayBeInUse whether the standby here runs
 */
export function ownSlotObjections(
  slot: SlotFact,
  cluster: string | undefined,
  mayBeInUse = false,
): readonly Objection[] {
  if (slot.kind !== 'asked') return [];
  const { there, host } = slot;
  const { systemIdentifier } = there;
  if (cluster !== undefined && systemIdentifier !== undefined && systemIdentifier !== cluster) {
    return [
      {
        message: `the server on ${host} is of another cluster: its system identifier is ${systemIdentifier}, and ${cluster} here`,
        hint: 'Check master_public_ip: and port:.',
      },
    ];
  }
  return slotObjections(there, { ...slot, mayBeInUse });
}

/** Makes the slot on the server that the INI file names; it is noted before, so that a later run can drop it. */
export async function makeOwnSlot(server: Server, name: string): Promise<boolean> {
  const { deps, capabilities } = server;
  const { host } = addressOf(deps);
  await noteOwnSlot(server, name);
  const made = await withPrimaryQuery(deps, (query) => ensureSlot(query, capabilities, name));
  if (made === 'renewed')
    deps.log.warning(`replication slot "${name}" on ${host} had lost its WAL (${limits}) and was made anew`, {
      hint: 'The WAL that it kept must come from the archive; if it is not there, make a new base backup.',
    });
  return made !== 'present';
}

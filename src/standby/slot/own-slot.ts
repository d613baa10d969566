/** The slot by which the standby here streams: on the server that the INI file names, or one that it named before. */
import { messageOf, PitrError } from '../../errors.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { dropByHand, findSlot, type SlotsThere } from '../../postgres/stream-slot.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import type { StandbyDeps } from '../deps.ts';
import { changeRecord, type OwnSlot, readRecord } from '../host/backup-record/record.ts';
import { withPrimaryQuery } from '../primary/query.ts';
import type { Query } from '../primary/session.ts';
import type { Server } from '../server/server.ts';
import { comesTrue } from '../server/wait.ts';
import type { Objection } from '../steps/objections.ts';
import { slotObjections } from './objections.ts';
import { ownSlotName } from './own-name.ts';
import { askSlots, dropUnused, ensureSlot } from './there.ts';

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
      /** `slot_unlimited` */
      readonly isUnlimited: boolean;
      readonly there: SlotsThere;
    };

export const noSlot: SlotFact = { kind: 'none' };

/** The server that the INI file names. */
function addressOf({ settings }: StandbyDeps): Pick<OwnSlot, 'host' | 'port'> {
  return { host: settings.master_public_ip, port: settings.port };
}

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

/** The wish of the INI file, and the answer of that server. */
export async function askOwnSlot(
  { settings, hostName }: StandbyDeps,
  capabilities: Capabilities,
  ask: (name: string) => Promise<SlotsThere>,
): Promise<SlotFact> {
  const name = ownSlotName({ settings, hostName }, capabilities);
  if (name === undefined) return noSlot;
  const { master_public_ip: host, port, slot_unlimited: isUnlimited } = settings;
  return { kind: 'asked', name, host, port, isUnlimited, there: await ask(name) };
}

/** Before a standby is started that does not run yet. */
export async function observeOwnSlot(server: Server): Promise<SlotFact> {
  const { deps, capabilities } = server;
  try {
    return await askOwnSlot(deps, capabilities, (name) =>
      withPrimaryQuery(deps, (query) => askUntilUnused(server, query, name)),
    );
  } catch (error) {
    deps.signal.throwIfAborted();
    const name = ownSlotName(deps, capabilities);
    if (!(error instanceof PitrError) || name === undefined) throw error;
    return { kind: 'silent', name, reason: [error.message, error.detail].filter(Boolean).join(': ') };
  }
}

/** The same of one that perhaps runs. */
export async function askOwnSlotNow(deps: StandbyDeps, capabilities: Capabilities): Promise<SlotFact> {
  return askOwnSlot(deps, capabilities, () =>
    withPrimaryQuery(deps, (query) => askSlots(query, capabilities)),
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

function isSame(one: OwnSlot, other: OwnSlot): boolean {
  return one.name === other.name && one.host === other.host && one.port === other.port;
}

/** Before the standby here streams by it: that it is made, and dropped in the end, depends on this note. */
export async function noteOwnSlot({ deps, pgdata }: Server, name: string): Promise<void> {
  await noteSlot(pgdata, { name, ...addressOf(deps) });
}

/** The slots that were noted, and this one. */
export function withSlot(known: readonly OwnSlot[], slot: SlotFact): readonly OwnSlot[] {
  if (slot.kind !== 'asked') return known;
  const { name, host, port } = slot;
  return known.some((each) => isSame(each, { name, host, port })) ? known : [...known, { name, host, port }];
}

async function noteSlot(pgdata: string, slot: OwnSlot): Promise<void> {
  const { ownSlots = [] } = await readRecord(pgdata);
  if (ownSlots.some((known) => isSame(known, slot))) return;
  await changeRecord(pgdata, { ownSlots: [...ownSlots, slot] });
}

async function forgetSlot(pgdata: string, slot: OwnSlot): Promise<void> {
  const { ownSlots = [] } = await readRecord(pgdata);
  const left = ownSlots.filter((known) => !isSame(known, slot));
  await changeRecord(pgdata, { ownSlots: left.length === 0 ? undefined : left });
}

/** Makes the slot on the server that the INI file names; it is noted before, so that a later run can drop it. */
export async function makeOwnSlot(server: Server, name: string): Promise<boolean> {
  const { deps, capabilities } = server;
  const { host } = addressOf(deps);
  await noteOwnSlot(server, name);
  const made = await withPrimaryQuery(deps, (query) => ensureSlot(query, capabilities, name));
  if (made === 'renewed')
    deps.log.warning(
      `replication slot "${name}" on ${host} had lost its WAL (max_slot_wal_keep_size) and was made anew`,
      {
        hint: 'The WAL that it kept must come from the archive; if it is not there, make a new base backup.',
      },
    );
  return made !== 'present';
}

/** A slot that was made for a standby that does not run would only keep WAL. */
export async function takeSlotBack(server: Server, name: string): Promise<void> {
  if ((await readPostmaster(server.pgdata)).kind === 'running') return;
  await dropOwnSlot(server, { name, ...addressOf(server.deps) });
}

/** The limits of a question to a server that is perhaps dead. */
function toward(deps: StandbyDeps, { host, port }: OwnSlot): StandbyDeps {
  const { settings } = deps;
  const ssh_timeout = Math.min(settings.ssh_timeout, settings.failover_probe_timeout);
  return { ...deps, settings: { ...settings, master_public_ip: host, port, ssh_timeout } };
}

/** Never fails. A server that does not answer is perhaps dead: its slots are dropped when it becomes a standby. */
export async function dropOwnSlot({ deps, pgdata, capabilities }: Server, slot: OwnSlot): Promise<void> {
  const { name, host } = slot;
  try {
    const there = toward(deps, slot);
    const reason = await withPrimaryQuery(there, (query) => dropUnused(there, query, capabilities, name));
    if (reason === undefined) deps.log.notice(`dropped replication slot "${name}" on ${host}`);
    else deps.log.warning(`replication slot "${name}" on ${host} stays: ${reason}`);
  } catch (error) {
    deps.signal.throwIfAborted();
    deps.log.warning(`replication slot "${name}" on ${host} could not be dropped: ${messageOf(error)}`, {
      hint: `If that server becomes a standby by --rejoin, it is dropped there. By hand: ${dropByHand(name)}`,
    });
  }
  await forgetSlot(pgdata, slot);
}

/**
 * After a promotion. A primary that is dead keeps its slots until it becomes a standby.
 *
 * @param isAlive whether it is worth asking
 */
export async function leaveOwnSlots(
  server: Server,
  slots: readonly OwnSlot[],
  isAlive: boolean,
): Promise<void> {
  if (isAlive) for (const slot of slots) await dropOwnSlot(server, slot);
  else await changeRecord(server.pgdata, { ownSlots: undefined });
}

/** The slots that this standby has left behind, on other servers or because it wants none any more. */
export function leftSlots(deps: StandbyDeps, own: readonly OwnSlot[], name: string | undefined): OwnSlot[] {
  const { host, port } = addressOf(deps);
  return own.filter((slot) => name === undefined || !isSame(slot, { name, host, port }));
}

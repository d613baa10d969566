/**
 * The slots that this standby streams by no more. One and the same server may have several names, and the slot has one
 * name on all servers: a slot that is in use must never be taken for one that was left. A slot that was not seen gone
 * stays noted.
 */
import { messageOf } from '../../errors.ts';
import { startedSql } from '../../postgres/server-sql.ts';
import { dropByHand, findSlot } from '../../postgres/stream-slot.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import type { StandbyDeps } from '../deps.ts';
import { type OwnSlot, readRecord } from '../host/backup-record/record.ts';
import { withPrimaryQuery } from '../primary/query.ts';
import type { Query } from '../primary/session.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import type { Server } from '../server/server.ts';
import { addressOf, forgetSlot, leftSlots } from './notes.ts';
import { ownSlotName } from './own-name.ts';
import { askSlots, dropUnused } from './there.ts';

/** The outcome for a slot that was left. */
type Left =
  | { readonly kind: 'gone' }
  /** The address leads to the server from which this standby streams. */
  | { readonly kind: 'followed' }
  | { readonly kind: 'stays'; readonly reason: string };

type Connect = typeof withPrimaryQuery;

async function startOf(query: Query): Promise<string> {
  const text = (await query(startedSql))[0]?.[0] ?? '';
  if (text === '') throw new Error('the server does not say since when it runs');
  return text;
}

/**
 * Whether both sessions are with one and the same server.
 *
 * @param followed a session that stays open meanwhile: a restart would end it
 */
export async function isOneServer(followed: Query, other: Query): Promise<boolean> {
  const before = await startOf(followed);
  const there = await startOf(other);
  if ((await startOf(followed)) !== before)
    throw new Error('the server that this standby follows was restarted');
  return there === before;
}

/**
 * The limits of a question to a server that is perhaps dead. An address of the server that is followed now would lead from
 * the other host back to that server, whose answer would stand for the other one's.
 */
function toward(deps: StandbyDeps, { host, port, localAddress }: OwnSlot): StandbyDeps {
  const { settings } = deps;
  const ssh_timeout = Math.min(settings.ssh_timeout, settings.failover_probe_timeout);
  const master_local_ip = localAddress ?? settings.master_local_ip;
  return { ...deps, settings: { ...settings, master_public_ip: host, master_local_ip, port, ssh_timeout } };
}

async function dropThere({ deps, capabilities }: Server, slot: OwnSlot, query: Query): Promise<Left> {
  const reason = await dropUnused(toward(deps, slot), query, capabilities, slot.name);
  return reason === undefined ? { kind: 'gone' } : { kind: 'stays', reason };
}

/** Only once the standby streams by the slot that it has now: until then it may need what the other one keeps. */
async function dropBeside(server: Server, slot: OwnSlot, now: string, connect: Connect): Promise<Left> {
  const { deps, capabilities } = server;
  const { host } = addressOf(deps);
  return connect(deps, async (followed) => {
    if (findSlot(await askSlots(followed, capabilities), now)?.isActive !== true)
      return { kind: 'stays', reason: `this standby does not stream from ${host} by slot "${now}" yet` };
    return connect(toward(deps, slot), async (query) => {
      if (slot.name === now && (await isOneServer(followed, query))) return { kind: 'followed' };
      return dropThere(server, slot, query);
    });
  });
}

function sayLeft({ deps }: Server, { name, host }: OwnSlot, left: Left): void {
  switch (left.kind) {
    case 'gone':
      deps.log.notice(`replication slot "${name}" on ${host} is gone`);
      return;
    case 'followed':
      deps.log.notice(`${host} is the server that this standby follows: replication slot "${name}" stays`);
      return;
    case 'stays':
      deps.log.warning(`replication slot "${name}" on ${host} stays: ${left.reason}`, {
        hint: `It keeps WAL there. cmd_standby --cleanup tries again; by hand: ${dropByHand(name)}`,
      });
  }
}

/**
 * Never fails. A slot that may still be there stays noted.
 *
 * @param now the slot by which this standby is to stream; undefined if it streams without one
 */
export async function dropOwnSlot(
  server: Server,
  slot: OwnSlot,
  now: string | undefined,
  connect: Connect = withPrimaryQuery,
): Promise<void> {
  const { deps, pgdata } = server;
  const { name, host } = slot;
  try {
    const left =
      now === undefined
        ? await connect(toward(deps, slot), (query) => dropThere(server, slot, query))
        : await dropBeside(server, slot, now, connect);
    sayLeft(server, slot, left);
    if (left.kind !== 'stays') await forgetSlot(pgdata, slot);
  } catch (error) {
    deps.signal.throwIfAborted();
    deps.log.warning(`replication slot "${name}" on ${host} could not be dropped: ${messageOf(error)}`, {
      hint: `If that server becomes a standby by --rejoin, it is dropped there. cmd_standby --cleanup tries again; by hand: ${dropByHand(name)}`,
    });
  }
}

/** Never fails. */
export async function dropLeftSlots(server: Server, slots: readonly OwnSlot[]): Promise<void> {
  const { deps, pgdata, capabilities } = server;
  const now = ownSlotName(deps, capabilities, await readRecord(pgdata));
  for (const slot of slots) await dropOwnSlot(server, slot, now);
}

/** A slot that was made for a standby that does not run would only keep WAL. */
export async function takeSlotBack(server: Server, name: string): Promise<void> {
  if ((await readPostmaster(server.pgdata)).kind === 'running') return;
  await dropOwnSlot(server, { name, ...addressOf(server.deps) }, undefined);
}

/**
 * After a promotion. A primary whose role was taken keeps its slots until it becomes a standby.
 *
 * @param isAsked whether the primary that this standby has followed is asked to drop the slot
 */
export async function leaveOwnSlots(
  server: Server,
  slots: readonly OwnSlot[],
  isAsked: boolean,
  connect: Connect = withPrimaryQuery,
): Promise<void> {
  const { host, port } = addressOf(server.deps);
  for (const slot of slots) {
    const isThere = slot.host === host && slot.port === port;
    if (isThere && !isAsked) await forgetSlot(server.pgdata, slot);
    else await dropOwnSlot(server, slot, undefined, connect);
  }
}

type LeftIn = Pick<DataDirectory, 'capabilities' | 'record'>;

/** The slots that are still to be dropped on other servers. */
export function leftSlotsOf(deps: StandbyDeps, { capabilities, record }: LeftIn): readonly OwnSlot[] {
  // Every other server may be started as a standby again.
  const isPromoted = record.promotedAtTimeline !== undefined;
  const name = isPromoted ? undefined : ownSlotName(deps, capabilities, record);
  return leftSlots(deps, record.ownSlots ?? [], name);
}

/** For the check without an action. */
export function sayLeftSlots(deps: StandbyDeps, directory: LeftIn): void {
  for (const { name, host } of leftSlotsOf(deps, directory))
    deps.log.warning(
      `replication slot "${name}" on ${host}, by which this standby streams no more, was not seen gone`,
      {
        hint: `If it is there, it keeps WAL. cmd_standby --cleanup drops it; by hand there: ${dropByHand(name)}`,
      },
    );
}

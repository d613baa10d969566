import { join } from 'node:path';
import { keptSlot } from '../../../postgres/kept-slot.ts';
import { formatLsn } from '../../../postgres/lsn.ts';
import type { SegmentName } from '../../../postgres/wal-name.ts';
import type { LocalSql } from '../../../system/local-sql.ts';
import { readPostmaster } from '../../../system/postmaster.ts';
import type { StandbyDeps } from '../../deps.ts';
import type { DataDirectory } from '../../server/data-directory.ts';
import { type Server, serverOf } from '../../server/server.ts';
import { withLocalServer } from '../../server/server-state.ts';
import { observeArchive } from '../own-archive.ts';
import { archivedUpTo, heldFrom, missingBetween, type OwnWal, readOwnWal } from './archived-chain.ts';
import { freeBytes, releaseFor } from './bound.ts';
import { foreignCleanup, missingProgram } from './cleanup-command.ts';
import {
  advanceSlot,
  askSlot,
  dropSlot,
  hasKeptSlot,
  makeSlot,
  recomputeRequired,
  type SlotFacts,
} from './slot.ts';

/** WAL that the slot does not hold any more, though archivedir may lack it. */
export interface Loss {
  readonly reason: string;
  /** The segments that archivedir lacks; undefined if they are not known. */
  readonly missing: readonly SegmentName[] | undefined;
}

export type Visit =
  /** There is no slot, and none is wanted. */
  | { readonly kind: 'none' }
  /** A slot is wanted and cannot be had; `loss` if there was one. */
  | { readonly kind: 'obstacle'; readonly reason: string; readonly loss: Loss | undefined }
  /** The server could not be asked: whether it still holds something is not known. */
  | {
      readonly kind: 'unknown';
      readonly reason: string;
      /** The server runs and refuses: if that lasts, the slot is never advanced. */
      readonly isRefused: boolean;
    }
  | {
      readonly kind: 'held';
      readonly isRecovering: boolean;
      /** WAL from here on stays in pg_wal. */
      readonly from: bigint;
      /** In bytes. */
      readonly segmentSize: number;
      /** In bytes: what the server would have removed without the slot. */
      readonly heldBytes: number;
      readonly loss: Loss | undefined;
    };

/** SQLSTATE: another call of ours is advancing the slot at this moment. */
const objectInUse = '55006';

/** Whether this host's INI file and release ask for a slot while the server here is a standby. */
export function isKeepingWanted({ deps, capabilities }: Pick<Server, 'deps' | 'capabilities'>): boolean {
  const { use_streaming_replication: streams, keep_streamed_max: most } = deps.settings;
  return streams && most > 0 && capabilities.slotAdvanceFunction !== undefined;
}

interface Session {
  readonly server: Server;
  readonly directory: DataDirectory;
  readonly sql: LocalSql;
}

/** Undefined if archivedir cannot be relied on: then it proves nothing. */
async function ownWal({ server: { deps }, directory }: Session, segmentSize: number) {
  const { archivedir } = deps.settings;
  const archive = await observeArchive(archivedir, directory);
  if (archive.kind === 'archive') return readOwnWal(archivedir, directory, segmentSize);
  deps.log.debug(`archivedir cannot be used: ${archive.reason}`);
  return undefined;
}

async function lossOf(wal: OwnWal | undefined, from: bigint, upTo: bigint, reason: string) {
  const missing = wal === undefined ? undefined : await missingBetween(wal, from, upTo);
  return missing?.length === 0 ? undefined : { reason, missing };
}

/** The server dropped what the slot held: on a standby a new slot holds what is left. */
async function renew({ server, sql }: Session, facts: SlotFacts): Promise<void> {
  await dropSlot(sql);
  if (facts.isRecovering && isKeepingWanted(server)) await makeSlot(sql);
}

interface Ensured {
  readonly facts: SlotFacts;
  readonly loss: Loss | undefined;
  /** Why there is no slot, though one is wanted. */
  readonly obstacle: string | undefined;
}

function ensured(facts: SlotFacts, loss?: Loss, obstacle?: string): Ensured {
  return { facts, loss, obstacle };
}

/** A slot that nothing advances would keep WAL until the file system is full. */
async function partWithSlot(session: Session, facts: SlotFacts, obstacle: string): Promise<Ensured> {
  const from = facts.slot?.restartLsn;
  const wal = from === undefined ? undefined : await ownWal(session, facts.segmentSize);
  const loss = from === undefined ? undefined : await lossOf(wal, from, facts.redoLsn, obstacle);
  if (facts.slot !== undefined) await dropSlot(session.sql);
  return ensured({ ...facts, slot: undefined }, loss, obstacle);
}

async function ensureSlot(session: Session): Promise<Ensured> {
  const { sql, server } = session;
  const ask = () => askSlot(sql, server.capabilities);
  const facts = await ask();
  const wanted = facts.isRecovering ? isKeepingWanted(server) : server.deps.settings.keep_streamed_max > 0;
  if (!wanted) {
    if (facts.slot !== undefined) await dropSlot(sql);
    return ensured({ ...facts, slot: undefined });
  }
  const foreign = facts.isRecovering ? await foreignCleanup(server, facts) : undefined;
  if (foreign !== undefined) return partWithSlot(session, facts, foreign);
  if (facts.slot !== undefined && facts.slot.restartLsn === undefined) {
    await renew(session, facts);
    const reason = 'the server gave it up (max_slot_wal_keep_size or idle_replication_slot_timeout)';
    return ensured(await ask(), { reason, missing: undefined });
  }
  if (facts.slot !== undefined || !facts.isRecovering) return ensured(facts);
  const obstacle = facts.obstacle ?? (await missingProgram());
  if (obstacle !== undefined) return ensured(facts, undefined, obstacle);
  await makeSlot(sql);
  return ensured(await ask());
}

/** An early minor release needs a second slot for a moment, or WAL that the slot is moved over stays. */
function canMove({ releasesByAdvance, hasSpareSlot }: SlotFacts): boolean {
  return releasesByAdvance || hasSpareSlot;
}

/** On a standby, gives up what archivedir holds. A primary's slot waits for the standbys that are to get the WAL. */
async function advance(session: Session, facts: SlotFacts, wal: OwnWal | undefined): Promise<SlotFacts> {
  const { sql, server } = session;
  const { slot } = facts;
  if (!facts.isRecovering || slot?.restartLsn === undefined || wal === undefined) return facts;
  if (!canMove(facts)) {
    server.deps.log.warning(
      `replication slot "${keptSlot}" cannot be advanced: this minor release of PostgreSQL needs another slot for a moment, and max_replication_slots allows none`,
      { hint: 'Raise max_replication_slots by 1, or install the last minor release.' },
    );
    return facts;
  }
  const from = slot.restartLsn;
  const walDirectory = join(session.directory.pgdata, server.capabilities.walDirName);
  const upTo = await archivedUpTo(wal, await heldFrom(walDirectory, from, wal.layout));
  if (upTo > from) await advanceSlot(sql, upTo, facts);
  // A run that was killed between the two statements has moved the slot only.
  else if (!facts.releasesByAdvance) await recomputeRequired(sql);
  return upTo > from ? askSlot(sql, server.capabilities) : facts;
}

/** Returns the location up to which the slot has given up its WAL. */
async function release(session: Session, facts: SlotFacts, upTo: bigint): Promise<bigint> {
  if (canMove(facts)) {
    await advanceSlot(session.sql, upTo, facts);
    return upTo;
  }
  await renew(session, facts);
  return facts.redoLsn;
}

async function visitIn(session: Session): Promise<Visit> {
  const { sql, server, directory } = session;
  const { facts: first, loss, obstacle } = await ensureSlot(session);
  if (obstacle !== undefined) return { kind: 'obstacle', reason: obstacle, loss };
  if (first.slot === undefined) return { kind: 'none' };
  const wal = await ownWal(session, first.segmentSize);
  const facts = await advance(session, first, wal);
  const free = await freeBytes(join(directory.pgdata, server.capabilities.walDirName));
  const excess = releaseFor(facts, { most: server.deps.settings.keep_streamed_max, free });
  const held = (now: SlotFacts, found: Loss | undefined): Visit => ({
    kind: 'held',
    isRecovering: now.isRecovering,
    from: now.slot?.restartLsn ?? now.redoLsn,
    segmentSize: now.segmentSize,
    heldBytes: now.slot?.heldBytes ?? 0,
    loss: found,
  });
  const from = facts.slot?.restartLsn;
  if (excess === undefined || from === undefined || excess.upTo <= from) return held(facts, loss);
  const upTo = await release(session, facts, excess.upTo);
  const released = await lossOf(wal, from, upTo, excess.reason);
  return held(await askSlot(sql, server.capabilities), released ?? loss);
}

/**
 * Brings the slot up to date: makes it if it is wanted, gives up what archivedir holds, and what is beyond the bound.
 * Without a slot on disk and without the wish for one, the server is not even asked.
 */
export async function visitSlot(deps: StandbyDeps, directory: DataDirectory): Promise<Visit> {
  const server = serverOf(deps, directory.capabilities);
  if (directory.capabilities.slotAdvanceFunction === undefined) return { kind: 'none' };
  const isStandby = directory.record.settings?.mode === 'standby';
  const has = await hasKeptSlot(directory.pgdata);
  if (!has && !(isStandby && isKeepingWanted(server))) return { kind: 'none' };
  const answer = await withLocalServer(server, (sql) => visitIn({ server, directory, sql }));
  if (answer.kind === 'answered') return answer.value;
  const isBusy = answer.kind === 'rejected' && answer.code === objectInUse;
  const { kind } = await readPostmaster(directory.pgdata);
  const isRefused = has && kind === 'running' && answer.kind !== 'not-accepting' && !isBusy;
  return { kind: 'unknown', reason: answer.reason, isRefused };
}

function describeMissing(missing: Loss['missing'], archivedir: string): string {
  const [first] = missing ?? [];
  const last = missing?.at(-1);
  if (missing === undefined || first === undefined || last === undefined)
    return `${archivedir} may lack some of it`;
  const what =
    missing.length === 1 ? first.text : `${missing.length} segments, ${first.text} to ${last.text}`;
  return `${archivedir} lacks ${what}`;
}

/** Describes what it means that WAL is not held any more. */
export function describeLoss({ reason, missing }: Loss, archivedir: string): string {
  return `WAL that only streaming had brought is not kept here any more: ${reason}; ${describeMissing(missing, archivedir)}. After a failover to this host, other standbys that lack it need a new base backup`;
}

export function describeHeld({ from }: Extract<Visit, { kind: 'held' }>): string {
  return `replication slot "${keptSlot}" keeps WAL from ${formatLsn(from)} on`;
}

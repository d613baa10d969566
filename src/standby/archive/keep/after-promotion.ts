import { messageOf } from '../../../errors.ts';
import { keptSlot } from '../../../postgres/kept-slot.ts';
import type { SegmentName } from '../../../postgres/wal-name.ts';
import type { Server } from '../../server/server.ts';
import type { ServerConfiguration } from '../../server/server-configuration.ts';
import { withLocalServer } from '../../server/server-state.ts';
import { observeBounder } from './bounder.ts';
import { fillArchive, type Filled } from './fill-archive.ts';
import { dropUnfitSlot, obstacleInFiles, removeSlot } from './leftover.ts';
import { sayState } from './notice.ts';
import { askSlot, hasKeptSlot } from './slot.ts';

function describe(names: readonly SegmentName[]): string {
  const [first] = names;
  const last = names.at(-1);
  if (first === undefined || last === undefined) return 'no segment';
  return names.length === 1
    ? `segment ${first.text}`
    : `${names.length} segments, ${first.text} to ${last.text}`;
}

function sayCopied({ deps }: Server, { copied }: Filled): void {
  if (copied.length > 0)
    deps.log.notice(
      `${describe(copied)}, which only streaming had brought: copied from pg_wal to ${deps.settings.archivedir}`,
    );
}

function sayMissing({ deps }: Server, { missing }: Filled): void {
  if (missing.length > 0)
    deps.log.warning(
      `neither ${deps.settings.archivedir} nor pg_wal holds ${describe(missing)}: standbys that lack this WAL need a new base backup`,
    );
}

/** Where the slot stands; undefined if there is none, or if the server does not say. */
async function slotLocation(server: Server): Promise<bigint | undefined> {
  const { capabilities, pgdata } = server;
  if (capabilities.slotAdvanceFunction === undefined || !(await hasKeptSlot(pgdata))) return undefined;
  const answer = await withLocalServer(server, (sql) => askSlot(sql, capabilities));
  return answer.kind === 'answered' ? answer.value.slot?.restartLsn : undefined;
}

const byHand = `By hand: SELECT pg_drop_replication_slot('${keptSlot}')`;

/**
 * The slot stays only where something limits it. Without that it is dropped once archivedir holds what only streaming had
 * brought: there the archiver finds it for the other standbys. WAL that could be copied nowhere is not given up.
 *
 * @returns that the slot stays, and for how long; undefined if there is none, or more was to be said
 */
async function settleSlot(server: Server, isCopied: boolean): Promise<string | undefined> {
  const { deps, pgdata } = server;
  if (!(await hasKeptSlot(pgdata))) return undefined;
  const slot = `replication slot "${keptSlot}"`;
  const bounder = await observeBounder(server);
  if (bounder.kind === 'archiver' || bounder.kind === 'server') {
    const kept = `${slot} keeps WAL for the other standbys until cmd_archiver --ship has seen that they have it`;
    await sayState(deps, 'ok', kept);
    return kept;
  }
  if (bounder.kind === 'nobody' && isCopied) {
    await removeSlot(server);
    const dropped = `${slot} is dropped: nothing would limit what it keeps (${bounder.why}). archivedir holds what only streaming had brought; WAL from now on stays only as long as the server itself keeps it`;
    deps.log.notice(dropped);
    await sayState(deps, 'ok', dropped);
    return undefined;
  }
  const what = isCopied ? 'WAL' : 'WAL that could not be copied to archivedir';
  const kept = `${slot} keeps ${what}, and only cmd_standby -P limits how much (${bounder.why}): run -P every minute, or pg_wal may fill its file system. ${byHand}`;
  await sayState(deps, 'critical', kept);
  return undefined;
}

/** Undefined if it failed, which is said. */
async function tryToFill(server: Server, from: bigint, limitMs: number): Promise<Filled | undefined> {
  try {
    return await fillArchive(server, from, limitMs);
  } catch (error) {
    const hasSlot = await hasKeptSlot(server.pgdata);
    server.deps.log.warning(
      `WAL that only streaming had brought could not be copied to archivedir: ${messageOf(error)}`,
      {
        hint: hasSlot
          ? `As long as replication slot "${keptSlot}" exists, it stays in pg_wal, and cmd_standby -P tries again.`
          : 'The next checkpoints remove it from pg_wal. Standbys that lack it need a new base backup.',
      },
    );
    return undefined;
  }
}

/** Returns whether all was copied that pg_wal still holds. */
async function copyToArchive(server: Server, from: bigint): Promise<boolean> {
  const filled = await tryToFill(server, from, Number.POSITIVE_INFINITY);
  if (filled === undefined) return false;
  sayCopied(server, filled);
  sayMissing(server, filled);
  return true;
}

/** Clients wait meanwhile for the server, but what is not copied now is lost with the slot. */
const unfitSlotLimitMs = 60_000;

/** Before the promoted server is restarted with a configuration with which it can have no slot. */
export async function fitSlotAfterPromotion(server: Server, conf: ServerConfiguration): Promise<void> {
  if (!(await hasKeptSlot(server.pgdata))) return;
  const obstacle = await obstacleInFiles(server, 'failover', conf);
  if (obstacle === undefined) return;
  const from = await slotLocation(server);
  const filled = from === undefined ? undefined : await tryToFill(server, from, unfitSlotLimitMs);
  if (filled !== undefined) {
    sayCopied(server, filled);
    sayMissing(server, filled);
    if (filled.left.length > 0)
      server.deps.log.warning(
        `after ${unfitSlotLimitMs / 1000} s, ${describe(filled.left)} could not be copied to archivedir yet, and clients wait: the checkpoint of the restart may remove it. Standbys that lack this WAL need a new base backup then`,
      );
  }
  await dropUnfitSlot(server, obstacle, conf.configFile);
}

/** Clients wait meanwhile for action_failover. */
const saveLimitMs = 5_000;

/**
 * Soon after the server has opened, where no slot keeps WAL: its next checkpoints remove what only streaming had brought.
 * Before action_failover it takes a few seconds at most; `keepAfterPromotion` copies the rest.
 *
 * @param redoLsn the last restartpoint before the promotion
 */
export async function saveStreamed(server: Server, redoLsn: bigint): Promise<void> {
  const filled = await tryToFill(server, redoLsn, saveLimitMs);
  if (filled === undefined) return;
  sayCopied(server, filled);
  if (filled.left.length > 0)
    server.deps.log.notice(
      `${describe(filled.left)}, which perhaps only streaming had brought: copied after action_failover, as clients wait for that`,
    );
}

/**
 * Brings what only this host's pg_wal holds into its archive, and leaves the slot for the standbys that lack it. A full
 * or missing archive is no failure of the failover.
 *
 * @param redoLsn the last restartpoint before the promotion, if that is known
 */
export async function keepAfterPromotion(server: Server, redoLsn: bigint | undefined): Promise<void> {
  const { log } = server.deps;
  const slot = await slotLocation(server);
  const from = slot !== undefined && (redoLsn === undefined || slot < redoLsn) ? slot : redoLsn;
  const isCopied = from === undefined || (await copyToArchive(server, from));
  try {
    // Where the slot stands must be known, or what it keeps may lie before what was copied.
    const kept = await settleSlot(server, isCopied && slot !== undefined);
    if (kept !== undefined) log.notice(kept);
  } catch (error) {
    log.warning(messageOf(error), { hint: byHand });
  }
}

/** The same for a slot on a server that was promoted: that failover may have been killed in its last step, or its archive full. */
export async function finishKeeping(server: Server): Promise<void> {
  const from = await slotLocation(server);
  const isCopied = from !== undefined && (await copyToArchive(server, from));
  await settleSlot(server, isCopied);
}

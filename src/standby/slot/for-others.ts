/** The slots on this host's server by which other standbys stream. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import {
  dropByHand,
  dropSlotSql,
  dropUntouchedSlotSql,
  findSlot,
  isStreamSlot,
  makeSlotSql,
  mustRenew,
  slotLsnSql,
  slotsDirectory,
  type SlotsThere,
} from '../../postgres/stream-slot.ts';
import { exists, fsyncPath, systemErrorCode } from '../../system/durable.ts';
import { removeTree } from '../../system/files.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import type { StandbyDeps } from '../deps.ts';
import { changeRecord, type OthersSlot, readRecord } from '../host/backup-record/record.ts';
import type { Query } from '../primary/session.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { parametersOfFiles, type ParameterValues, startParameters } from '../server/parameters.ts';
import type { Server } from '../server/server.ts';
import type { ServerConfiguration } from '../server/server-configuration.ts';
import { mustAnswer, observeServer } from '../server/server-state.ts';
import type { Sibling } from '../siblings/ask.ts';
import type { SiblingFacts } from '../siblings/observe.ts';
import { settingObjections, slotConcerns } from './objections.ts';
import { askSlots, queryOf } from './there.ts';

function sayDropped({ log }: Pick<StandbyDeps, 'log'>, names: readonly string[]): void {
  if (names.length === 0) return;
  log.notice(`dropped replication slots by which standbys have streamed: ${names.join(', ')}`, {
    hint: 'A standby that continues to stream from this host makes its slot again by its next -P.',
  });
}

/** Only our slots, by their names. One that is in use stays. */
export async function dropSlotsHere(server: Server): Promise<void> {
  if (!server.capabilities.hasReplicationSlots) return;
  await dropAllHere(server);
  await changeRecord(server.pgdata, { slotsForOthers: undefined });
}

/** Whether there is anything to drop. A directory that cannot be read is no proof that there is not. */
export async function hasSlotsHere({
  pgdata,
  record,
}: Pick<DataDirectory, 'pgdata' | 'record'>): Promise<boolean> {
  if ((record.slotsForOthers ?? []).length > 0) return true;
  try {
    return (await readdir(join(pgdata, slotsDirectory))).some(isStreamSlot);
  } catch (error) {
    return systemErrorCode(error) !== 'ENOENT';
  }
}

async function dropAllHere(server: Server): Promise<void> {
  const { deps, pgdata, capabilities } = server;
  if ((await readPostmaster(pgdata)).kind === 'running') {
    await mustAnswer(server, 'cannot drop the replication slots of standbys', async (sql) => {
      const query = queryOf(sql);
      const askNames = async () =>
        (await askSlots(query, capabilities)).slots.map(({ name }) => name).filter(isStreamSlot);
      const names = await askNames();
      for (const name of names) await query(dropSlotSql(name));
      const left = await askNames();
      sayDropped(
        deps,
        names.filter((name) => !left.includes(name)),
      );
    });
    return;
  }
  const directory = join(pgdata, slotsDirectory);
  if (!(await exists(directory))) return;
  const names = (await readdir(directory)).filter(isStreamSlot);
  for (const name of names) await removeTree(join(directory, name));
  if (names.length > 0) await fsyncPath(directory);
  sayDropped(deps, names);
}

/** The settings of the configuration with which the promoted server is started again. */
async function settingsWith(server: Server, conf: ServerConfiguration): Promise<ParameterValues> {
  const names = ['max_replication_slots', 'wal_level'];
  if (server.capabilities.tellsSlotWalStatus) names.push('max_slot_wal_keep_size');
  return parametersOfFiles(server, names, startParameters(server, 'failover', conf));
}

/**
 * The server here as it will be after its promotion: it would not start with more slots than it may have, or with any and
 * `wal_level = minimal`, and perhaps does not limit what they keep.
 *
 * @param later what is known of its settings then
 */
export function afterPromotion(now: SlotsThere, later: ParameterValues): SlotsThere {
  const most = Number(later.get('max_replication_slots') ?? Number.POSITIVE_INFINITY);
  const megabytes = later.get('max_slot_wal_keep_size');
  return {
    ...now,
    most: Math.min(now.most, most),
    walLevel: later.get('wal_level') === 'minimal' ? 'minimal' : now.walLevel,
    limitBytes: megabytes !== undefined && Number(megabytes) < 0 ? undefined : now.limitBytes,
  };
}

/** A standby that will not follow this host needs no slot here, and nobody would drop it. */
function willFollow(
  { target, answer }: Sibling,
  { siblings, comparison }: Pick<SiblingFacts, 'siblings' | 'comparison'>,
): boolean {
  if (answer.kind !== 'answered' || answer.said.server !== 'recovering') return false;
  const standing = comparison.compared.find((each) => each.target.name === target.name)?.standing.kind;
  const isApart = standing !== undefined && standing !== 'not-ahead' && standing !== 'ahead';
  const streamsFromStandby = siblings.some(
    (other) =>
      other.target.name !== target.name &&
      other.target.host === answer.said.streamsFrom &&
      other.answer.kind === 'answered' &&
      other.answer.said.server === 'recovering',
  );
  return !isApart && !streamsFromStandby;
}

/** The slots of the standbys that could be asked, and that will follow this host. */
export function slotsOf(facts: Pick<SiblingFacts, 'siblings' | 'comparison'>): readonly string[] {
  return facts.siblings.flatMap((sibling) => {
    const { answer } = sibling;
    const slot = answer.kind === 'answered' ? answer.said.streamSlot : undefined;
    return slot !== undefined && willFollow(sibling, facts) ? [slot] : [];
  });
}

/** Why a slot for another standby is not made here. */
function whyNot(reason: string, name: string): string {
  return `replication slot "${name}" for another standby was not made: ${reason}; WAL that this standby lacks comes from the archive`;
}

/**
 * Before the server here is promoted: the other standbys lose no WAL between the promotion and the moment at which they
 * follow. Each is noted, for the case that the promotion does not happen. Never fails.
 */
export async function makeSlotsHere(
  server: Server,
  names: readonly string[],
  conf?: ServerConfiguration,
): Promise<void> {
  const { deps, capabilities } = server;
  try {
    const later = conf === undefined ? new Map<string, string>() : await settingsWith(server, conf);
    await mustAnswer(server, 'cannot make replication slots', async (sql) => {
      const query = queryOf(sql);
      for (const name of names) {
        const there = afterPromotion(await askSlots(query, capabilities), later);
        const found = findSlot(there, name);
        if (found !== undefined && !mustRenew(found)) continue;
        const isUnlimited = there.limitBytes === undefined && !deps.settings.slot_unlimited;
        const [objection] = settingObjections(there, 'this host as a primary');
        const full = there.slots.length >= there.most && found === undefined;
        const reason = isUnlimited
          ? 'nothing limits what it would keep (max_slot_wal_keep_size)'
          : (objection?.message ?? (full ? `max_replication_slots is ${there.most}` : undefined));
        if (reason !== undefined) {
          deps.log.warning(whyNot(reason, name));
          continue;
        }
        if (found !== undefined) await query(dropSlotSql(name));
        await noteSlot(server.pgdata, { name });
        await query(makeSlotSql(capabilities, name));
        await noteSlot(server.pgdata, { name, lsn: (await query(slotLsnSql(name)))[0]?.[0] ?? undefined });
        deps.log.notice(
          `made replication slot "${name}" here for another standby: it keeps WAL until that standby streams from here`,
        );
      }
    });
  } catch (error) {
    deps.signal.throwIfAborted();
    deps.log.warning(`replication slots for the other standbys were not made: ${messageOf(error)}`);
  }
}

async function noteSlot(pgdata: string, slot: OthersSlot): Promise<void> {
  const { slotsForOthers = [] } = await readRecord(pgdata);
  const others = slotsForOthers.filter(({ name }) => name !== slot.name);
  await changeRecord(pgdata, { slotsForOthers: [...others, slot] });
}

/**
 * Drops the slots that this run or an earlier one has made for a promotion which did not happen. One by which a standby
 * has streamed since then stays.
 */
export async function dropSlotsMade(server: Server): Promise<void> {
  const { deps, pgdata } = server;
  const { slotsForOthers = [] } = await readRecord(pgdata);
  if (slotsForOthers.length === 0 || (await readPostmaster(pgdata)).kind !== 'running') return;
  await mustAnswer(server, 'cannot drop replication slots', (sql) =>
    dropUntouched(deps, queryOf(sql), slotsForOthers),
  );
  await changeRecord(pgdata, { slotsForOthers: undefined });
}

export async function dropUntouched(
  { log }: Pick<Server['deps'], 'log'>,
  query: Query,
  slots: readonly OthersSlot[],
): Promise<void> {
  for (const { name, lsn } of slots) {
    if (lsn !== undefined) await query(dropUntouchedSlotSql(name, lsn));
    if ((await query(slotLsnSql(name))).length === 0) log.notice(`replication slot "${name}" here is gone`);
    else
      log.warning(
        `replication slot "${name}" here stays: ${lsn === undefined ? 'it is not known whether a standby streams by it' : 'a standby has streamed by it'}`,
        { hint: `If no standby needs it: ${dropByHand(name)}` },
      );
  }
}

/** Never fails: the standby here runs, whatever becomes of them. */
export async function dropSlotsOfNoPromotion(server: Server): Promise<void> {
  const { deps } = server;
  try {
    await dropSlotsMade(server);
  } catch (error) {
    deps.signal.throwIfAborted();
    deps.log.warning(`replication slots that were made here for other standbys stay: ${messageOf(error)}`);
  }
}

/** For the check without an action: on a primary nobody else looks at the slots of its standbys. */
export async function warnOfSlotsHere(server: Server): Promise<void> {
  const { deps, capabilities } = server;
  if (!capabilities.hasReplicationSlots) return;
  const state = await observeServer(server);
  if (state.kind !== 'production' || !state.answers) return;
  try {
    await mustAnswer(server, 'the replication slots here are not known', async (sql) => {
      const there = await askSlots(queryOf(sql), capabilities);
      for (const concern of slotConcerns(there, 'this host')) deps.log.warning(concern);
    });
  } catch (error) {
    deps.signal.throwIfAborted();
    deps.log.notice(messageOf(error));
  }
}

import { realpath, statfs } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { judgeArchiving } from '../../../../config/archive-command.ts';
import type { StandbyTarget } from '../../../../config/options-archiver.ts';
import { PitrError, refusal } from '../../../../errors.ts';
import type { Capabilities } from '../../../../postgres/capabilities.ts';
import { isHostWord } from '../../../../postgres/left-timeline.ts';
import { limitNames } from '../../../../postgres/standby-limits.ts';
import type { LocalSql } from '../../../../system/local-sql.ts';
import { readPostmaster } from '../../../../system/postmaster.ts';
import type { AnswerOf } from '../../../../verbs/verbs.ts';
import type { StandbyDeps } from '../../../deps.ts';
import { type ArchiverPart, readArchiverPart } from '../../../host/archiver-part.ts';
import type { SwitchoverRecord } from '../../../host/backup-record/record.ts';
import { type Peer, publicName } from '../../../peers/peer.ts';
import { findHost } from '../../../peers/same-host.ts';
import { stillUnderWay } from '../../../recovery/promotion.ts';
import { archivingProblems, observeArchiving, type OwnArchiving } from '../../../server/own-archiving.ts';
import type { ParameterValues } from '../../../server/parameters.ts';
import { settingsAfterPromotion } from '../../../server/promoted-settings.ts';
import { type Server, serverOf } from '../../../server/server.ts';
import { mustAnswer } from '../../../server/server-state.ts';
import { listSlots, type Slot } from '../../../server/slots.ts';
import { askOthers, noComparison, type Others } from '../../../siblings/observe.ts';
import type { Force } from '../../../steps/force.ts';
import { type FailoverFacts, isOpened, observeHere } from '../facts.ts';
import { observeRivals } from '../rivals.ts';
import { askOldPrimary, askSiblingsToo, type Follower } from './followers.ts';

export type PrimaryFacts = AnswerOf<'primary-facts'>;

interface SlotRoom {
  readonly names: readonly string[];
  readonly most: number;
}

/** The facts that matter as long as this host is a standby. */
export interface BeforeFacts {
  readonly primary: PrimaryFacts;
  /** Undefined if nobody can be given the name of this host, which is an objection of its own. */
  readonly oldPrimary: Follower | undefined;
  /** The other standbys that answered. */
  readonly others: readonly Follower[];
  readonly part: ArchiverPart;
  readonly archiving: OwnArchiving;
  readonly archivingProblems: readonly string[];
  /** The INI file that archive_command names, if it is another one than that of `part`. */
  readonly otherIniFile: string | undefined;
  /** As after the promotion. */
  readonly settings: ParameterValues;
  /** Undefined if the server does not say. */
  readonly hasChecksums: boolean | undefined;
  readonly slotsHere: readonly Slot[];
  /** All slots here, ours too, and how many there can be now; undefined if the server has none or is not asked. */
  readonly slotRoom: SlotRoom | undefined;
  /** The `application_name` of those who stream from this host already. */
  readonly streamingHere: readonly string[];
  /** Bytes that are free, by directory. */
  readonly free: ReadonlyMap<string, number>;
  readonly publicName: string;
}

export interface SwitchoverFacts {
  /** As for a failover that takes the role of a primary which was found dead. */
  readonly failover: FailoverFacts;
  /** Undefined once this host's server was promoted. */
  readonly before: BeforeFacts | undefined;
  /** The switchover that an earlier run has begun. */
  readonly begun: SwitchoverRecord | undefined;
  /** A killed run has asked the server here to open, and it may do so at any moment. */
  readonly isOpening: boolean;
  readonly peer: Peer;
  /** The old primary among the standbys that this host feeds; undefined if it is none of them, or cannot be asked. */
  readonly fed: StandbyTarget | undefined;
  /** The port on which the server here listens. */
  readonly port: number | undefined;
  readonly systemIdentifier: string;
  readonly graceS: number;
  /** This standby streams from the primary, and does not only read its archive. */
  readonly streams: boolean;
}

const factsLimitMs = 60_000;

async function freeBytes(directories: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  for (const directory of directories) {
    const space = await statfs(directory).catch(() => undefined);
    if (space !== undefined) found.set(directory, space.bavail * space.bsize);
  }
  return found;
}

/** Whom this host feeds is checked in one file, and must not stand in another one. */
async function findOtherIniFile(
  { settings: { pgdata } }: StandbyDeps,
  archiving: OwnArchiving,
  { iniFile }: ArchiverPart,
): Promise<string | undefined> {
  if (archiving.kind === 'unknown') return undefined;
  const verdict = judgeArchiving(archiving.archiving);
  if (verdict.kind !== 'call') return undefined;
  // PostgreSQL's shell works in the data directory.
  const named = await realpath(resolve(pgdata, verdict.call.iniFile)).catch(() => undefined);
  const own = await realpath(iniFile).catch(() => undefined);
  return named === undefined || own === undefined || named === own ? undefined : named;
}

const settingNames = [
  'synchronous_standby_names',
  'wal_level',
  'wal_log_hints',
  'full_page_writes',
  'max_replication_slots',
  ...limitNames,
] as const;

async function askFollowers(
  deps: StandbyDeps,
  peer: Peer,
  others: Others,
  cluster: string,
  port: number | undefined,
): Promise<Pick<BeforeFacts, 'oldPrimary' | 'others'>> {
  const host = publicName(deps);
  if (port === undefined || !isHostWord(host)) return { oldPrimary: undefined, others: [] };
  const question = { host, port, cluster };
  const [oldPrimary, siblings] = await Promise.all([
    askOldPrimary(peer, question),
    askSiblingsToo(deps, others, question),
  ]);
  return { oldPrimary, others: siblings };
}

async function askSlotRoom(
  sql: LocalSql,
  { hasReplicationSlots }: Capabilities,
): Promise<SlotRoom | undefined> {
  if (!hasReplicationSlots) return undefined;
  const [row] = await sql(
    "SELECT current_setting('max_replication_slots') AS most, (SELECT string_agg(slot_name::text, ',') FROM pg_replication_slots) AS names",
  );
  if (row === undefined) return undefined;
  const names = typeof row['names'] === 'string' ? row['names'].split(',') : [];
  return { names, most: Number(row['most']) };
}

/** The facts that only the running server knows. */
async function askHere(
  server: Server,
  { state }: FailoverFacts,
): Promise<Pick<BeforeFacts, 'hasChecksums' | 'slotsHere' | 'slotRoom' | 'streamingHere'>> {
  // One that answers nobody is an objection of its own.
  if (state.kind !== 'recovering' || !state.answers)
    return { hasChecksums: undefined, slotsHere: [], slotRoom: undefined, streamingHere: [] };
  return mustAnswer(server, 'cannot determine the facts of the standby', async (sql) => {
    const [row] = await sql("SELECT setting FROM pg_settings WHERE name = 'data_checksums'");
    const streaming = await sql(
      "SELECT application_name AS name FROM pg_stat_replication WHERE state IN ('streaming', 'catchup')",
    );
    return {
      hasChecksums: row === undefined ? undefined : row['setting'] === 'on',
      slotsHere: await listSlots(sql, server.capabilities),
      slotRoom: await askSlotRoom(sql, server.capabilities),
      streamingHere: streaming.map(({ name }) => String(name)),
    };
  });
}

/** Without an answer nothing is begun. */
async function askPrimary(peer: Peer, cluster: string): Promise<PrimaryFacts> {
  try {
    return await peer.call('primary-facts', { cluster }, factsLimitMs);
  } catch (error) {
    if (!(error instanceof PitrError)) throw error;
    const { message, detail, hint } = error;
    throw refusal(`${message}; nothing was changed`, { detail, hint, cause: error });
  }
}

async function observeBefore(
  deps: StandbyDeps,
  peer: Peer,
  cluster: string,
  failover: FailoverFacts,
  primary: PrimaryFacts,
  port: number | undefined,
): Promise<BeforeFacts> {
  const server = serverOf(deps, failover.directory.capabilities);
  const { pgdata, archivedir } = deps.settings;
  const part = await readArchiverPart(deps);
  const [archiving, settings] = await Promise.all([
    observeArchiving(server),
    settingsAfterPromotion(server, settingNames),
  ]);
  return {
    primary,
    ...(await askFollowers(deps, peer, failover.siblings, cluster, port)),
    ...(await askHere(server, failover)),
    part,
    archiving,
    archivingProblems: archiving.kind === 'known' ? await archivingProblems(deps, archiving.archiving) : [],
    otherIniFile: await findOtherIniFile(deps, archiving, part),
    settings,
    free: await freeBytes([join(pgdata, server.capabilities.walDirName), archivedir]),
    publicName: publicName(deps),
  };
}

/** The old primary among the standbys that this host's cmd_archiver feeds. */
async function findFed(
  deps: StandbyDeps,
  peer: Peer,
  { list }: Others,
  { archivedir, walDirectory }: PrimaryFacts,
): Promise<StandbyTarget | undefined> {
  if (list?.kind !== 'known' || peer.shell === undefined) return undefined;
  const targets = list.targets.filter((target) => target.r_archivedir === archivedir);
  return findHost(deps, list.archiver, targets, peer.shell, walDirectory);
}

/** @param peer the host that this standby has followed so far */
export async function observeSwitchover(
  deps: StandbyDeps,
  peer: Peer,
  { force, graceS }: { readonly force: Force; readonly graceS: number },
): Promise<SwitchoverFacts> {
  const here = await observeHere(deps);
  const others = await askOthers(deps);
  const dead = { kind: 'dead', unsent: undefined, warnings: [] } as const;
  const { directory } = here;
  const systemIdentifier = directory.control?.systemIdentifier ?? '';
  const begun = directory.record.switchover;
  const failover: FailoverFacts = {
    ...here,
    liveness: dead,
    siblings: { ...others, comparison: noComparison, rivals: [], path: undefined },
    // It is stopped here cleanly, and starts as a standby only.
    fence: { kind: 'none' },
    force,
    takesRole: true,
  };
  const isBefore = !isOpened(here) && directory.record.isFailoverUnfinished !== true;
  // After the promotion it is good to know, but its host may be away.
  const primary = await askPrimary(peer, systemIdentifier).catch((error: unknown) => {
    if (isBefore) throw error;
    return undefined;
  });
  const fed = primary === undefined ? undefined : await findFed(deps, peer, others, primary);
  const siblings = others.siblings.filter(({ target }) => target !== fed);
  const rivals = await observeRivals(here, { ...others, siblings });
  const known = { ...failover, siblings: { ...failover.siblings, ...rivals, siblings } };
  const postmaster = await readPostmaster(deps.settings.pgdata);
  const port = postmaster.kind === 'running' ? postmaster.port : undefined;
  const streams = deps.settings.use_streaming_replication && directory.capabilities.streaming;
  const isOpening = isBefore && stillUnderWay(directory.record.promotion) !== undefined;
  const common = { begun, isOpening, peer, fed, port, systemIdentifier, graceS, streams, failover: known };
  if (!isBefore || primary === undefined) return { ...common, before: undefined };
  const before = await observeBefore(deps, peer, systemIdentifier, failover, primary, port);
  return { ...common, before };
}

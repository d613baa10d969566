import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { StandbyTarget } from '../../../../config/options-archiver.ts';
import { messageOf, PitrError, refusal } from '../../../../errors.ts';
import { isHostWord } from '../../../../postgres/left-timeline.ts';
import { readPostmaster } from '../../../../system/postmaster.ts';
import type { AnswerOf } from '../../../../verbs/verbs.ts';
import type { StandbyDeps } from '../../../deps.ts';
import { type ArchiverPart, readArchiverPart } from '../../../host/archiver-part.ts';
import type { SwitchoverRecord } from '../../../host/backup-record/record.ts';
import { type Peer, publicName } from '../../../peers/peer.ts';
import { findHost } from '../../../peers/same-host.ts';
import { archivingProblems, observeArchiving, type OwnArchiving } from '../../../server/own-archiving.ts';
import type { ParameterValues } from '../../../server/parameters.ts';
import { settingsAfterPromotion } from '../../../server/promoted-settings.ts';
import { serverOf } from '../../../server/server.ts';
import { rowsOf } from '../../../server/server-state.ts';
import { askOthers, noComparison, type Others } from '../../../siblings/observe.ts';
import type { Force } from '../../../steps/force.ts';
import type { Objection } from '../../../steps/objections.ts';
import { type FailoverFacts, observeHere } from '../facts.ts';
import { observeRivals } from '../rivals.ts';

export type PrimaryFacts = AnswerOf<'primary-facts'>;

/** The facts that matter as long as this host is a standby. */
export interface BeforeFacts {
  readonly primary: PrimaryFacts;
  /** The obstacles to a standby on the old primary's host that is to follow this one. */
  readonly wayBack: readonly Objection[];
  readonly part: ArchiverPart;
  readonly archiving: OwnArchiving;
  readonly archivingProblems: readonly string[];
  /** As after the promotion. */
  readonly settings: ParameterValues;
  /** Logical slots that were synchronised from the primary (from 17): they are usable after the promotion. */
  readonly syncedSlots: readonly string[];
  /** All replication slots of the server here, and how many it can have now; undefined if it has none or is not asked. */
  readonly slotsHere: { readonly names: readonly string[]; readonly most: number } | undefined;
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

const settingNames = [
  'synchronous_standby_names',
  'wal_level',
  'max_wal_senders',
  'max_replication_slots',
] as const;

async function observeWayBack(
  deps: StandbyDeps,
  peer: Peer,
  cluster: string,
  port: number | undefined,
): Promise<readonly Objection[]> {
  const host = publicName(deps);
  // It is an objection of its own.
  if (port === undefined || !isHostWord(host)) return [];
  try {
    return (await peer.call('try-follow', { host, port, cluster }, factsLimitMs)).problems;
  } catch (error) {
    return [{ message: `whether ${peer.host} can follow this host is not known: ${messageOf(error)}` }];
  }
}

async function syncedSlots(
  deps: StandbyDeps,
  { directory, state }: FailoverFacts,
): Promise<readonly string[]> {
  const { capabilities } = directory;
  if (!capabilities.syncsSlots || state.kind !== 'recovering' || !state.answers) return [];
  const rows = await rowsOf(
    serverOf(deps, capabilities),
    "SELECT slot_name::text AS name FROM pg_replication_slots WHERE slot_type = 'logical' AND synced AND invalidation_reason IS NULL",
  );
  return (rows ?? []).map((row) => String(row['name']));
}

async function slotsHere(
  deps: StandbyDeps,
  { directory, state }: FailoverFacts,
): Promise<BeforeFacts['slotsHere']> {
  const { capabilities } = directory;
  if (!capabilities.hasReplicationSlots || state.kind !== 'recovering' || !state.answers) return undefined;
  const rows = await rowsOf(
    serverOf(deps, capabilities),
    "SELECT current_setting('max_replication_slots') AS most, (SELECT string_agg(slot_name::text, ',') FROM pg_replication_slots) AS names",
  );
  const [row] = rows ?? [];
  if (row === undefined) return undefined;
  const names = typeof row['names'] === 'string' ? row['names'].split(',') : [];
  return { names, most: Number(row['most']) };
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
    wayBack: await observeWayBack(deps, peer, cluster, port),
    part,
    archiving,
    archivingProblems: archiving.kind === 'known' ? await archivingProblems(deps, archiving.archiving) : [],
    settings,
    syncedSlots: await syncedSlots(deps, failover),
    slotsHere: await slotsHere(deps, failover),
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
  const { directory, state } = here;
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
  const isBefore = state.kind !== 'production' && directory.record.isFailoverUnfinished !== true;
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
  const common = { begun, peer, fed, port, systemIdentifier, graceS, streams, failover: known };
  if (!isBefore || primary === undefined) return { ...common, before: undefined };
  const before = await observeBefore(deps, peer, systemIdentifier, failover, primary, port);
  return { ...common, before };
}

import { join } from 'node:path';
import { findVersion, isSameMajor } from '../../postgres/version.ts';
import {
  exists,
  readIfExists,
  requireHardLinks,
  requireMakeable,
  requireOwnDirectory,
} from '../../system/durable.ts';
import type { Postmaster } from '../../system/postmaster.ts';
import { parseSentinel, type Sentinel, sentinelName } from '../../system/sentinel.ts';
import { findForeignSegment } from '../archive/arrival.ts';
import type { StandbyDeps } from '../deps.ts';
import type { Primary, PrimaryFacts } from '../primary/primary.ts';
import { requirePgCtl } from '../server/server-programs.ts';
import { settledPostmaster } from '../server/server-state.ts';
import { type Objection, objectionsOf, when } from '../steps/objections.ts';
import { hasRecord } from './backup-record/record.ts';
import { findForeignData } from './foreign-data.ts';
import { misspeltPgdata } from './misspelt-pgdata.ts';
import { ownCommand } from './own-command.ts';
import { findOwnConfiguration } from './own-configuration.ts';
import { inspectPgdata, type PgdataContent } from './pgdata-content.ts';
import {
  findOverlaps,
  findOwnOverlaps,
  findShared,
  type FoundOverlap,
  type OwnOverlap,
} from './same-place.ts';
import { type CopyPlace, filledDirectories, tablespaceTargets } from './tablespaces.ts';
import { readWalLink, requireWalDirectory, type WalLink } from './wal-link.ts';

type SentinelState =
  | { readonly kind: 'none' }
  | { readonly kind: 'found'; readonly sentinel: Sentinel }
  /** It exists, but nothing in it proves that it is a cluster. */
  | { readonly kind: 'unreadable' };

/** The facts about this host before a standby is made. */
export interface LocalPlace extends CopyPlace {
  readonly archivedir: string;
  readonly postmaster: Postmaster;
  /** Whether we made the server in pgdata a standby or a production server. */
  readonly hasRecord: boolean;
  readonly content: PgdataContent;
  readonly hasArchivedir: boolean;
  /** Signs of a misspelt pgdata. */
  readonly misspelt: readonly Objection[];
  readonly sentinel: SentinelState;
  /** The fields of the sentinel that describe this host. */
  readonly own: Pick<Sentinel, 'standby' | 'command'>;
  /** A segment in archivedir that another cluster wrote. */
  readonly foreignSegment: string | undefined;
  readonly walLink: WalLink | undefined;
  /** Names in pgdata, besides those that are always the standby's own. */
  readonly ownConfiguration: readonly string[];
  readonly overlaps: readonly FoundOverlap[];
  /** Overlaps between pgdata, archivedir, the tablespaces and a linked WAL directory of this host. */
  readonly ownOverlaps: readonly OwnOverlap[];
  /** Obstacles to owning a directory, or to finding a server of this version. */
  readonly troubles: readonly Objection[];
  /** Entries outside pgdata that only --force=foreign-data may replace. */
  readonly foreignData: readonly Objection[];
  /** The INI's `pgversion:`. */
  readonly expectedVersion: string | undefined;
}

async function readSentinelState(archivedir: string): Promise<SentinelState> {
  const content = await readIfExists(join(archivedir, sentinelName));
  if (content === undefined) return { kind: 'none' };
  const sentinel = parseSentinel(content.toString('utf8'));
  return sentinel === undefined ? { kind: 'unreadable' } : { kind: 'found', sentinel };
}

/** Checks that the directory is ours or can be made: once a copy has begun, it would be too late. */
async function requireUsable(path: string): Promise<void> {
  await ((await exists(path)) ? requireOwnDirectory(path) : requireMakeable(path));
}

/** @param mayProbe false for a dry run, which must not write even for a moment */
export async function observeLocalPlace(
  deps: StandbyDeps,
  primary: Primary,
  mayProbe: boolean,
): Promise<LocalPlace> {
  const { pgdata, archivedir, tablespaces, pgversion } = deps.settings;
  const { facts, shell } = primary;
  deps.log.notice('check_pgpid_func()');
  const targets = tablespaceTargets(facts.tablespaces, facts.dataDirectory, pgdata, tablespaces);
  const { walDirName } = facts.capabilities;
  const walLink = await readWalLink(pgdata, walDirName);
  const filled = filledDirectories({ pgdata, targets });
  const ours = [...filled, ...(walLink?.directory === undefined ? [] : [walLink.directory])];
  const theirs = [
    facts.dataDirectory,
    ...facts.tablespaces.map(({ location }) => location),
    // On the primary the path may be a link to another place.
    ...(walLink === undefined ? [] : [join(facts.dataDirectory, walDirName)]),
  ];
  const hasArchivedir = await exists(archivedir);
  const troubles = await objectionsOf([
    ...[...filled, archivedir].map((path) => () => requireUsable(path)),
    ...(mayProbe && hasArchivedir ? [() => requireHardLinks(archivedir, deps.nonce())] : []),
    ...(walLink === undefined ? [] : [() => requireWalDirectory(walLink)]),
    ...(deps.settings.start_command === undefined
      ? [() => requirePgCtl(deps, facts.capabilities, 'primary')]
      : []),
  ]);
  const overlaps = await findOverlaps(deps.run, shell, ours, theirs);
  const content = await inspectPgdata(pgdata);
  const canProbe = mayProbe && troubles.length === 0 && overlaps.length === 0;
  return {
    pgdata,
    archivedir,
    postmaster: await settledPostmaster(deps),
    hasRecord: await hasRecord(pgdata),
    content,
    hasArchivedir,
    misspelt: await misspeltPgdata(pgdata),
    sentinel: await readSentinelState(archivedir),
    own: { standby: deps.hostName, command: ownCommand(deps) },
    foreignSegment: hasArchivedir
      ? await findForeignSegment(archivedir, [facts.systemIdentifier])
      : undefined,
    targets,
    walLink,
    ownConfiguration: await findOwnConfiguration(deps.settings, targets),
    ownOverlaps: await findOwnOverlaps(deps.run, [...ours, archivedir]),
    overlaps: canProbe ? await findShared(shell, ours, theirs, deps.nonce()) : overlaps,
    troubles,
    foreignData: await findForeignData({ pgdata, content, targets, walLink }, facts),
    expectedVersion: pgversion,
  };
}

function crashObjection({ pgdata }: LocalPlace, reason: string): Objection {
  return {
    name: 'crashed',
    message: `pgdata "${pgdata}" holds a server that was not shut down: ${reason}`,
    hint: 'If it was a production server, it may contain WAL that exists nowhere else: send that first (cmd_archiver --flush).',
    cost: 'data that exists only there is lost',
  };
}

const notOursHint =
  'It bears no record of -B, -S or -F999, so it may be the primary, or another server in production. Run cmd_standby only on the standby, with a pgdata of its own. Stop a server that is no longer needed by its own tools.';

export function serverObjections(place: LocalPlace): readonly Objection[] {
  const { postmaster, pgdata, content } = place;
  switch (postmaster.kind) {
    case 'none':
      return when(
        content.kind === 'cluster' && content.isCrashed,
        crashObjection(place, 'its pg_control says that it is in production'),
      );
    case 'stale':
      return [crashObjection(place, `its postmaster.pid names ${postmaster.pid}, which is gone`)];
    case 'running':
      return [
        {
          message: `PostgreSQL runs here on "${pgdata}" (pid ${postmaster.pid})`,
          hint: place.hasRecord ? 'Stop it first: cmd_standby -C FILE -A stop' : notOursHint,
        },
      ];
    case 'unclear':
      return [
        {
          message: `cannot determine whether PostgreSQL runs here: ${postmaster.reason}`,
          hint: 'Make sure that no server runs on that directory; only then remove the pid file.',
        },
      ];
  }
}

function contentObjections({ content, pgdata }: LocalPlace, facts: PrimaryFacts): readonly Objection[] {
  if (content.kind === 'unknown') {
    const hint = 'Check pgdata:, or empty that directory.';
    return [{ message: `pgdata "${pgdata}" is no data directory: ${content.reason}`, hint }];
  }
  if (content.kind !== 'cluster') return [];
  return when(content.systemIdentifier !== facts.systemIdentifier && !content.isFresh, {
    name: 'other-cluster',
    message: `pgdata "${pgdata}" holds another cluster (${content.systemIdentifier}), not the primary's (${facts.systemIdentifier})`,
    hint: 'Move it away if it is still needed.',
    cost: '-B replaces it, and all that is in it is lost',
  });
}

/** The reason why archivedir is not for this cluster. */
function archiveMismatch(place: LocalPlace, { systemIdentifier: ours }: PrimaryFacts): string | undefined {
  const { sentinel, archivedir, foreignSegment } = place;
  if (sentinel.kind === 'unreadable') return `"${join(archivedir, sentinelName)}" names no cluster`;
  const theirs = sentinel.kind === 'found' ? sentinel.sentinel.systemIdentifier : ours;
  if (theirs !== ours) return `archivedir "${archivedir}" belongs to cluster ${theirs}, not to ${ours}`;
  if (foreignSegment === undefined) return undefined;
  return `"${join(archivedir, foreignSegment)}" was written by another cluster than ${ours}`;
}

function sentinelObjections(place: LocalPlace, facts: PrimaryFacts): readonly Objection[] {
  const message = archiveMismatch(place, facts);
  const hint =
    'Each standby of each cluster needs an archivedir of its own: choose another, or empty this one.';
  return message === undefined ? [] : [{ message, hint }];
}

const overlapWords = { same: 'is', 'holds-theirs': 'holds', 'lies-in-theirs': 'lies in' } as const;

function overlapHint({ pgdata, walLink }: LocalPlace, { ours, theirs }: FoundOverlap): string {
  if (ours === pgdata)
    return 'This host is the primary, or shares its storage: the standby needs a pgdata of its own.';
  if (ours === walLink?.directory)
    return `"${walLink.path}" is a link to it, and a base backup empties it: let the link lead to a directory of its own.`;
  return `Give the tablespace another path in the INI file: [tablespaces] with the line ${theirs} = /another/directory`;
}

function overlapObjections(place: LocalPlace): readonly Objection[] {
  return place.overlaps.map((found) => ({
    message: `"${found.ours}" ${overlapWords[found.overlap]} the primary's own directory "${found.theirs}"`,
    hint: overlapHint(place, found),
  }));
}

function ownOverlapHint({ walLink }: LocalPlace, { inner, outer }: OwnOverlap): string {
  if (walLink?.directory !== undefined && [inner, outer].includes(walLink.directory))
    return `"${walLink.path}" is a link to "${walLink.directory}", and a base backup empties it: let the link lead to a directory of its own.`;
  return 'pgdata, archivedir and each tablespace need a directory of their own: give tablespaces other paths by [tablespaces] in the INI file.';
}

function ownOverlapObjections(place: LocalPlace): readonly Objection[] {
  return place.ownOverlaps.map((found) => ({
    message:
      found.inner === found.outer
        ? `"${found.inner}" is configured twice, for two purposes`
        : `"${found.inner}" lies in "${found.outer}"`,
    hint: ownOverlapHint(place, found),
  }));
}

function versionObjections({ expectedVersion }: LocalPlace, facts: PrimaryFacts): readonly Objection[] {
  const { version } = facts.capabilities;
  const expected = findVersion(expectedVersion ?? '') ?? version;
  return when(!isSameMajor(expected, version), {
    message: `pgversion: says ${expected.major}, but the primary is PostgreSQL ${version.major}`,
    hint: 'Correct the key, or check that master_public_ip: and port: name the right server.',
  });
}

export function placeObjections(place: LocalPlace, facts: PrimaryFacts): readonly Objection[] {
  return [
    ...serverObjections(place),
    ...place.troubles,
    ...versionObjections(place, facts),
    ...overlapObjections(place),
    ...ownOverlapObjections(place),
    ...contentObjections(place, facts),
    ...place.foreignData,
    ...sentinelObjections(place, facts),
  ];
}

/**
 * The sentinel that archivedir must have for this primary. A new base backup clears the mark of a promotion; timelines
 * that were left stay left.
 */
/** Without the marks past which the server has replayed: a base backup replaces its data. */
export function newSentinel({ own, sentinel }: LocalPlace, facts: PrimaryFacts): Sentinel {
  return {
    ...own,
    systemIdentifier: facts.systemIdentifier,
    primaryPgdata: facts.dataDirectory,
    promotedAtTimeline: undefined,
    left: sentinel.kind === 'found' ? sentinel.sentinel.left : [],
  };
}

/** The standby that a drill copies: what its directories are, and how it can be copied. */
import { readdir, readlink, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve } from 'node:path';
import type { StandbySettings } from '../../config/options-standby.ts';
import { isWithin } from '../../config/path-values.ts';
import { PitrError, refusal } from '../../errors.ts';
import { type Archive, requireArchive } from '../archive/own-archive.ts';
import { readReplayFacts, type ReplayFacts } from '../archive/replay-check.ts';
import type { StandbyDeps } from '../deps.ts';
import { tablespaceFolder } from '../host/tablespaces.ts';
import { noStandbyObjections } from '../recovery/no-standby.ts';
import { type DataDirectory, readDataDirectory } from '../server/data-directory.ts';
import { findServer } from '../server/find-server.ts';
import type { Server } from '../server/server.ts';
import { readConfiguration, type ServerConfiguration } from '../server/server-configuration.ts';
import { observeServer, type ServerState } from '../server/server-state.ts';
import { noForce } from '../steps/force.ts';
import { type Objection, refuseOn, when } from '../steps/objections.ts';
import type { DrillPlace } from './place.ts';

/** How the copy is made. */
type Way =
  /** By a base backup of the standby as it runs. */
  | 'backup'
  /** From files on which no server runs. */
  | 'stopped'
  /** The same, of a standby that is stopped for it. */
  | 'stopped-for-it'
  /** By the site's own command. */
  | 'snapshot'
  /** Not of the standby: by a new base backup of the primary. */
  | 'new-base-backup';

interface OriginTablespace {
  readonly oid: string;
  readonly location: string;
  /** Its place in the copy. */
  readonly target: string;
}

export interface Origin {
  readonly server: Server;
  readonly directory: DataDirectory;
  readonly state: ServerState;
  readonly configuration: ServerConfiguration;
  readonly archive: Archive;
  readonly wal: ReplayFacts;
  readonly tablespaces: readonly OriginTablespace[];
  /** The server's own folder in each tablespace; undefined for 8.4. */
  readonly folder: string | undefined;
  readonly way: Way;
}

/** A link in pg_tblspc, as the server follows it. */
async function readTablespaces(pgdata: string, place: DrillPlace): Promise<readonly OriginTablespace[]> {
  const links = join(pgdata, 'pg_tblspc');
  const found: OriginTablespace[] = [];
  for (const oid of (await readdir(links)).filter((name) => /^\d+$/.test(name)).sort()) {
    const text = await readlink(join(links, oid)).catch(() => undefined);
    // From 15 on a tablespace may be a directory there: it is copied with the others.
    if (text === undefined) continue;
    const location = isAbsolute(text) ? text : resolve(links, text);
    const target = isWithin(location, pgdata)
      ? join(place.pgdata, relative(pgdata, location))
      : join(place.tablespaces, oid);
    found.push({ oid, location, target });
  }
  return found;
}

function runningObjections({
  directory,
  server,
}: Pick<Origin, 'directory' | 'server'>): readonly Objection[] {
  const { record } = directory;
  const isUnderWay =
    record.promotion !== undefined ||
    record.isFenceBegun === true ||
    record.switchover !== undefined ||
    record.stoppedFor !== undefined;
  return [
    ...when(isUnderWay, {
      message: `a change of roles was begun on "${server.pgdata}", and is not finished`,
      hint: 'Finish it first.',
    }),
    ...when(record.settings?.mode === 'recovery' || record.settings?.mode === 'held', {
      message: `"${server.pgdata}" is being recovered to a target`,
      hint: 'A drill needs a standby.',
    }),
  ];
}

function stateObjections(
  { state, directory }: Pick<Origin, 'state' | 'directory'>,
  settings: StandbySettings,
  fromBackup: boolean,
): readonly Objection[] {
  // Only the configuration of a living standby counts then.
  if (fromBackup && (state.kind === 'starting' || state.kind === 'recovering')) return [];
  switch (state.kind) {
    case 'production':
      return [
        {
          message: `the server in "${directory.pgdata}" is out of recovery: it is no standby`,
          hint: 'Run the drill on a standby.',
        },
      ];
    case 'starting':
      return [
        {
          message: `the server in "${directory.pgdata}" is still starting (${state.progress})`,
          hint: 'Wait until it recovers.',
        },
      ];
    case 'stopped':
      return noStandbyObjections(directory);
    case 'recovering':
      return when(wayOf({ state, directory }, settings) === undefined, {
        message: state.answers
          ? `PostgreSQL ${directory.capabilities.version.major} makes no base backup of a running standby`
          : `the server in "${directory.pgdata}" answers no queries, so no base backup of it can be made`,
        hint: 'Set drill_may_stop: on, by which it is stopped while its files are copied; or drill_snapshot; or make it a hot standby (hot_standby = on, from 9.6).',
      });
  }
}

/** Undefined if there is none. */
function wayOf(
  { state, directory }: Pick<Origin, 'state' | 'directory'>,
  { drill_snapshot, drill_may_stop }: StandbySettings,
): Way | undefined {
  if (drill_snapshot !== undefined) return 'snapshot';
  if (state.kind === 'stopped') return 'stopped';
  const canAsk = state.kind === 'recovering' && state.answers;
  if (canAsk && directory.capabilities.backupApi !== 'exclusive') return 'backup';
  return drill_may_stop ? 'stopped-for-it' : undefined;
}

/**
 * Throws a refusal if this host has no standby that can be copied. Changes nothing.
 *
 * @param fromBackup the standby itself is not copied
 */
export async function observeOrigin(
  deps: StandbyDeps,
  place: DrillPlace,
  fromBackup: boolean,
): Promise<Origin> {
  const { server, directory } = await findServer(deps, 'failover');
  const state = await observeServer(server);
  const facts = { server, directory, state };
  refuseOn([...runningObjections(facts), ...stateObjections(facts, deps.settings, fromBackup)], noForce);
  const archive = await requireArchive(deps.settings.archivedir, directory);
  const wal = await readReplayFacts(directory, archive, undefined);
  const { control, capabilities, controlProblem } = directory;
  if (wal === undefined || control === undefined)
    throw refusal(`it is not known where "${server.pgdata}" would begin to recover`, {
      detail: controlProblem,
    });
  return {
    ...facts,
    archive,
    wal,
    configuration: await readConfiguration(server, 'standby'),
    tablespaces: await readTablespaces(server.pgdata, place),
    folder: tablespaceFolder(capabilities, control),
    way: fromBackup ? 'new-base-backup' : (wayOf(facts, deps.settings) ?? 'stopped'),
  };
}

/** The directories of the standby that a drill must not touch. */
export function directoriesOf({ server, archive, tablespaces }: Origin): readonly string[] {
  const { pgdata } = server;
  return [
    pgdata,
    archive.directory,
    ...tablespaces.map(({ location }) => location).filter((path) => !isWithin(path, pgdata)),
  ];
}

/** Where links in pgdata lead: the copy follows them, and must not meet itself there. */
export async function linkedDirectories(pgdata: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const entry of await readdir(pgdata, { withFileTypes: true })) {
    if (!entry.isSymbolicLink()) continue;
    const target = await realpath(join(pgdata, entry.name)).catch(() => undefined);
    if (target !== undefined && (await stat(target)).isDirectory()) found.push(target);
  }
  return found;
}

/** The same after the server was stopped. */
export async function observeAgain(origin: Origin): Promise<Origin> {
  const { server, archive } = origin;
  const directory = await readDataDirectory(server.pgdata);
  const wal = await readReplayFacts(directory, archive, undefined);
  if (wal === undefined) throw new PitrError(`the WAL of "${server.pgdata}" cannot be read`);
  return { ...origin, directory, wal, state: await observeServer(server), way: 'stopped' };
}

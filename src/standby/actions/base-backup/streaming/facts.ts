import { refusal } from '../../../../errors.ts';
import {
  defaultTablespaceOid,
  parseTablespaceSizes,
  tablespaceSizesSql,
} from '../../../../postgres/backup-sql.ts';
import { type Capabilities, capabilitiesOf } from '../../../../postgres/capabilities.ts';
import type { CommandLine } from '../../../../system/command.ts';
import { findProgram } from '../../../../system/find-program.ts';
import type { StandbyDeps } from '../../../deps.ts';
import type { LocalPlace } from '../../../host/place.ts';
import type { Primary, ProtocolAccess } from '../../../primary/primary.ts';
import { installedPackageFolders, programFolders, requireVersion } from '../../../server/server-programs.ts';
import type { Demand, FileSystemNeed } from '../copy/room.ts';
import { measureRoom } from '../copy/room.ts';
import { bytesLeftBehind, bytesToBeFreed, findMounted } from './old-copy.ts';

/** Facts that only a base backup by pg_basebackup needs. */
export interface StreamingFacts {
  readonly program: CommandLine;
  /** The abilities of that program, according to its own version. */
  readonly client: Capabilities;
  readonly access: ProtocolAccess;
  /** The size of the data directory and the tablespaces; undefined if the role lacks the right to query all sizes. */
  readonly bytes: number | undefined;
  /** The space that each file system needs while the present copy still exists. */
  readonly needs: readonly FileSystemNeed[];
  /** The space that each file system needs once the present copy is removed. */
  readonly needsAfterRemoval: readonly FileSystemNeed[];
  /** Places in pgdata where another file system is mounted: nothing can be moved over them. */
  readonly mounted: readonly string[];
}

/** Finds a program of the server's version or a later one: an older program does not understand the server. */
async function findPgBasebackup(deps: StandbyDeps, server: Capabilities) {
  const { pg_basebackup: given } = deps.settings;
  const { major, num } = server.version;
  const folders = [...programFolders(deps, server), ...(await installedPackageFolders())];
  const program = await findProgram(given.program, folders);
  if (program === undefined) {
    throw refusal(`there is no "${given.program}" on this host`, {
      hint: `Install PostgreSQL's client programs (Debian: postgresql-client-${major}), or set pg_basebackup: to its path.`,
    });
  }
  const command = { ...given, program };
  const version = await requireVersion(
    deps,
    command,
    'Set pg_basebackup: to the path of the program itself.',
  );
  const isOlder = version.num < num && version.major !== major;
  if (!isOlder) return { command, client: capabilitiesOf(version) };
  throw refusal(`"${program}" is of PostgreSQL ${version.major}, and the primary of ${major}`, {
    hint: `Set pg_basebackup: to one of PostgreSQL ${major} or later.`,
  });
}

/** The bytes that will be written on this host: for the data directory with everything inside it, and for each tablespace. */
async function measureDemands(primary: Primary, place: LocalPlace): Promise<readonly Demand[] | undefined> {
  const sizes = parseTablespaceSizes(await primary.query(tablespaceSizesSql(primary.facts.capabilities)));
  const demands = [{ target: place.pgdata, neededBytes: sizes.get(defaultTablespaceOid) }];
  for (const { oid, target, isInsidePgdata } of place.targets)
    demands.push({ target: isInsidePgdata ? place.pgdata : target, neededBytes: sizes.get(oid) });
  const known = demands.filter((demand): demand is Demand => demand.neededBytes !== undefined);
  return known.length === demands.length ? known : undefined;
}

export async function observeStreaming(
  deps: StandbyDeps,
  primary: Primary,
  place: LocalPlace,
  access: ProtocolAccess,
): Promise<StreamingFacts> {
  const { command, client } = await findPgBasebackup(deps, primary.facts.capabilities);
  const demands = await measureDemands(primary, place);
  if (demands === undefined) {
    deps.log.warning(
      `role "${access.role}" lacks the right to ask for the size of all tablespaces: whether there is room for them is not known`,
    );
  }
  const coming = [...(demands ?? []), ...(await bytesLeftBehind(deps, place))];
  const freed = await bytesToBeFreed(deps, place, primary.facts.capabilities);
  return {
    program: command,
    client,
    access,
    bytes: demands?.reduce((sum, { neededBytes }) => sum + neededBytes, 0),
    needs: await measureRoom(coming),
    needsAfterRemoval: await measureRoom([...coming, ...freed]),
    mounted: await findMounted(place),
  };
}

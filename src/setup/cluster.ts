/** The clusters of this host, and the one that is meant. */
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { refusal } from '../errors.ts';
import { settingsIn } from '../postgres/settings-file.ts';
import { findVersion } from '../postgres/version.ts';
import { runningDataDirectories } from '../system/postmaster.ts';
import { quoted } from '../system/printable.ts';

export interface FoundCluster {
  readonly pgdata: string;
  /** `15/main` with Debian's packages; undefined for any other one. */
  readonly debianName: string | undefined;
  /** Undefined if there is no data directory yet, or if it cannot be read. */
  readonly major: string | undefined;
  /** postgresql.conf. */
  readonly configFile: string;
  /** The number of the user who owns the data directory; undefined if there is none. */
  readonly owner: number | undefined;
}

const debianRoot = (): string => process.env['PG_CLUSTER_CONF_ROOT'] ?? '/etc/postgresql';

async function namesIn(directory: string): Promise<readonly string[]> {
  return readdir(directory).then(
    (names) => names.sort(),
    () => [],
  );
}

async function textOf(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}

async function describe(
  pgdata: string,
  known: Partial<Pick<FoundCluster, 'debianName' | 'configFile' | 'major'>> = {},
): Promise<FoundCluster> {
  const inside = findVersion((await textOf(join(pgdata, 'PG_VERSION'))) ?? '')?.major;
  const above = findVersion(basename(dirname(pgdata)))?.major;
  const found = await stat(pgdata).catch(() => undefined);
  return {
    pgdata,
    debianName: known.debianName,
    major: inside ?? known.major ?? above,
    configFile: known.configFile ?? join(pgdata, 'postgresql.conf'),
    owner: found?.uid,
  };
}

async function debianClusters(): Promise<readonly FoundCluster[]> {
  const root = debianRoot();
  const found: FoundCluster[] = [];
  for (const major of await namesIn(root)) {
    for (const name of await namesIn(join(root, major))) {
      const configFile = join(root, major, name, 'postgresql.conf');
      const pgdata = settingsIn((await textOf(configFile)) ?? '').get('data_directory');
      if (pgdata?.startsWith('/') === true)
        found.push(await describe(pgdata, { debianName: `${major}/${name}`, configFile, major }));
    }
  }
  return found;
}

/**
 * The named one, even if no server runs there; where PGDG's packages and a `make install` have it, where the environment
 * says, and where a server runs.
 */
async function otherDirectories(wanted: string | undefined): Promise<readonly string[]> {
  const pgdg = (await namesIn('/var/lib/pgsql')).map((major) => join('/var/lib/pgsql', major, 'data'));
  const named = process.env['PGDATA'];
  const usual = ['/var/lib/pgsql/data', '/usr/local/pgsql/data', ...pgdg];
  const likely = [...(named === undefined ? [] : [named]), ...usual];
  const running = await runningDataDirectories();
  const isCluster = async (path: string) => (await textOf(join(path, 'PG_VERSION'))) !== undefined;
  // First, because the process of a server shows its directory without symbolic links.
  const found: string[] = wanted?.startsWith('/') === true && (await isCluster(wanted)) ? [wanted] : [];
  found.push(...running);
  for (const path of likely) if (path.startsWith('/') && (await isCluster(path))) found.push(path);
  return found;
}

/** @param wanted the name or the data directory of the cluster that is meant, if that is known */
export async function findClusters(wanted?: string): Promise<readonly FoundCluster[]> {
  const realOf = (path: string) => realpath(path).catch(() => path);
  const meant = wanted?.startsWith('/') === true ? { path: wanted, real: await realOf(wanted) } : undefined;
  const found: FoundCluster[] = [];
  // By the path that is asked for: one of the two may be a symbolic link to the other.
  for (const cluster of await debianClusters())
    found.push((await realOf(cluster.pgdata)) === meant?.real ? { ...cluster, pgdata: meant.path } : cluster);
  const seen = new Set(await Promise.all(found.map(({ pgdata }) => realOf(pgdata))));
  for (const path of await otherDirectories(wanted)) {
    const real = await realOf(path);
    if (!seen.has(real)) found.push(await describe(path));
    seen.add(real);
  }
  return found;
}

function listed(found: readonly FoundCluster[]): string {
  return found
    .map(({ debianName, pgdata, owner }) => {
      const name = debianName === undefined ? '' : `${debianName}: `;
      return `${name}${quoted(pgdata)}${owner === undefined ? '' : ` (user ${owner})`}`;
    })
    .join('; ');
}

/** The facts on which the choice depends. */
export interface ClusterQuestion {
  readonly found: readonly FoundCluster[];
  /** The value of --cluster, or the data directory in the INI file that is there already. */
  readonly wanted: string | undefined;
  /** The number of the user who runs this. */
  readonly me: number | undefined;
  /** How to call the program again, up to the option. */
  readonly command: string;
}

/**
 * The cluster that is meant: the named one, otherwise the only one. Undefined if there is none. Throws if there are
 * several, or if it belongs to another user.
 */
export function chooseCluster({ found, wanted, me, command }: ClusterQuestion): FoundCluster | undefined {
  const named = found.filter(({ debianName, pgdata }) => wanted === debianName || wanted === pgdata);
  const candidates = wanted === undefined ? found : named;
  const ours = candidates.filter(({ owner }) => owner === undefined || me === undefined || owner === me);
  const [first, second] = ours;
  if (second !== undefined && first !== undefined)
    throw refusal(`there are several clusters on this host: ${listed(ours)}`, {
      hint: `Say which one is meant: ${command} --cluster ${first.debianName ?? first.pgdata}`,
    });
  if (first !== undefined) return first;
  const [foreign] = candidates;
  if (foreign !== undefined)
    throw refusal(
      `the cluster ${listed([foreign])} belongs to user ${foreign.owner ?? ''}, and this is run by user ${me ?? ''}`,
      { hint: 'Run it as the user who owns the cluster, for example: su - postgres' },
    );
  return undefined;
}

/** A data directory that is named, but is not there yet. */
export async function namedCluster(pgdata: string): Promise<FoundCluster> {
  return describe(pgdata);
}

/**
 * The rules for the values of a request beside their kind: paths of this host's cluster, and its own server. A check that
 * is missing here does not compile.
 */
import { lstat, readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { messageOf } from '../../errors.ts';
import { systemErrorCode } from '../../system/durable.ts';
import { isLoopback, isThisHost } from '../../system/own-addresses.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import { parseSentinel, sentinelName } from '../../system/sentinel.ts';
import type { DataRequestName, DataValues } from '../../verbs/data-requests.ts';
import type { ArchiverDeps } from '../deps.ts';
import { readCluster } from '../wal/cluster.ts';
import { configurationFiles } from './configuration-files.ts';
import { type Ground, observeGround, outsideReason, strayLinks } from './ground.ts';
import { offerReason } from './offer.ts';

/** Why it is refused; undefined if it is not. */
type Verdict = string | undefined;
type Check<Name extends DataRequestName> = (deps: ArchiverDeps, values: DataValues<Name>) => Promise<Verdict>;

const fine = (): Promise<Verdict> => Promise.resolve(undefined);

async function firstReason(reasons: readonly Promise<Verdict>[]): Promise<Verdict> {
  return (await Promise.all(reasons)).find((reason) => reason !== undefined);
}

async function withGround(
  { settings }: ArchiverDeps,
  judge: (ground: Ground) => Promise<Verdict>,
): Promise<Verdict> {
  try {
    return await judge(await observeGround(settings.pgdata));
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return `the data directory ${settings.pgdata} here cannot be looked at: ${messageOf(error)}`;
  }
}

function inside(deps: ArchiverDeps, paths: readonly string[]): Promise<Verdict> {
  return withGround(deps, (ground) =>
    firstReason([...new Set(paths)].map((path) => outsideReason(ground, path))),
  );
}

/** If the data directory is gone, the path alone can be compared. */
async function ownProcesses({ settings }: ArchiverDeps, asked: readonly string[]): Promise<Verdict> {
  const { pgdata } = settings;
  const real = (path: string) => realpath(path).catch(() => resolve(path));
  const [root, ...more] = asked;
  if (root === undefined) return undefined;
  const isOwn = more.length === 0 && (await real(root)) === (await real(pgdata));
  return isOwn ? undefined : `the data directory here is ${pgdata}, not ${root}`;
}

/** A file of the data directory's, or one that leads to it. */
function below(root: string, paths: readonly string[]): readonly string[] {
  return [root, ...paths.map((path) => join(root, Buffer.from(path, 'latin1').toString('utf8')))];
}

const configurationNames = ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf'];

async function readable(deps: ArchiverDeps, path: string): Promise<Verdict> {
  const { pgdata } = deps.settings;
  // Behind a symbolic link, `..` leads to another directory than the words say.
  if (!path.split('/').includes('..')) {
    const file = resolve(path);
    const files = await configurationFiles(pgdata);
    const directories = [resolve(pgdata), ...files.slice(0, 1).map(dirname)];
    const isBeside = configurationNames.includes(basename(file)) && directories.includes(dirname(file));
    if (isBeside || files.includes(file)) return undefined;
  }
  return inside(deps, [path]);
}

/** For what follows links in a whole tree. */
function wholeTree(deps: ArchiverDeps, root: string): Promise<Verdict> {
  return withGround(
    deps,
    async (ground) =>
      (await outsideReason(ground, root)) ?? (await strayLinks(deps.run, ground, deps.signal)),
  );
}

async function isOwnAddress(address: string): Promise<boolean> {
  return address.startsWith('/') || address === 'localhost' || isLoopback(address) || isThisHost(address);
}

/** psql is run for the server of this data directory alone. `mustRun`: nobody else can be meant by its port then. */
export async function serverReason(
  { settings }: ArchiverDeps,
  { address, port }: { readonly address: string; readonly port: number },
  mustRun: boolean,
): Promise<Verdict> {
  if (!(await isOwnAddress(address))) return `${address} is no address of this host`;
  const postmaster = await readPostmaster(settings.pgdata);
  const own = settings.port ?? (postmaster.kind === 'running' ? postmaster.port : undefined);
  if (own !== undefined)
    return own === port ? undefined : `the server of this data directory has port ${own}, not ${port}`;
  return mustRun ? `the port of the server of ${settings.pgdata} is not known here: set port:` : undefined;
}

async function archiveReason({ settings }: ArchiverDeps, archive: string): Promise<Verdict> {
  const file = join(archive, sentinelName);
  const found = await lstat(file).catch(() => undefined);
  const sentinel = found?.isFile() === true ? parseSentinel(await readFile(file, 'utf8')) : undefined;
  const { systemIdentifier } = await readCluster(settings.pgdata);
  return sentinel?.systemIdentifier === systemIdentifier
    ? undefined
    : `${archive} is no archive of this cluster here`;
}

async function ownIni({ iniFile }: ArchiverDeps, { ini }: { readonly ini: string }): Promise<Verdict> {
  const real = (file: string) => realpath(file).catch(() => resolve(file));
  const isOwn = iniFile !== undefined && (await real(ini)) === (await real(iniFile));
  return isOwn ? undefined : `the INI file of this key is ${iniFile ?? ''}, not ${ini}`;
}

/** Only whether our own programs are there is shown. */
function archiveProgramReason(program: string, ini: string): Verdict {
  return basename(program) === 'cmd_archiver' && ini.endsWith('.ini')
    ? undefined
    : 'only cmd_archiver and its INI file are looked for';
}

const checks: { readonly [Name in DataRequestName]: Check<Name> } = {
  alive: fine,
  'read-file': (deps, { path }) => readable(deps, path),
  'ini-file': ownIni,
  'is-file': (deps, { path }) => readable(deps, path),
  files: (deps, { root }) => wholeTree(deps, root),
  sizes: (deps, { root, paths }) => inside(deps, below(root, paths)),
  pages: (deps, { root, pages }) =>
    inside(
      deps,
      below(
        root,
        pages.map(({ path }) => path),
      ),
    ),
  places: (deps, { paths }) => inside(deps, paths),
  probes: (deps, { paths }) => inside(deps, paths),
  identity: (deps, { directory }) => inside(deps, [directory]),
  'rsync-version': fine,
  'archive-program': async (deps, { root, program, ini }) =>
    archiveProgramReason(program, ini) ?? (await inside(deps, [root])),
  'host-facts': (_deps, { ini }) =>
    Promise.resolve(ini.endsWith('.ini') ? undefined : 'only an INI file is looked for'),
  clock: fine,
  sentinel: (deps, { archive }) => archiveReason(deps, archive),
  'begin-offer': (deps, { archive }) => offerReason(deps, archive),
  'store-offer': (deps, { archive }) => offerReason(deps, archive),
  processes: (deps, { root }) => ownProcesses(deps, root),
  answers: (deps, values) => serverReason(deps, values, false),
  'server-identity': (deps, values) => serverReason(deps, values, false),
};

/** @param values each of its kind (verbs/data-requests.ts) */
export function checkValues(deps: ArchiverDeps, name: DataRequestName, values: never): Promise<Verdict> {
  const check: (deps: ArchiverDeps, values: never) => Promise<Verdict> = checks[name];
  return check(deps, values);
}

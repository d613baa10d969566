/** Gathers the facts on which --setup plans. It changes nothing. */
import { createSocket } from 'node:dgram';
import { access, constants, readdir, realpath } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArchiverConfig } from '../config/load-archiver.ts';
import { parseStandbyConfig } from '../config/load-standby.ts';
import type { HostAddress } from '../host-address.ts';
import { type Capabilities, capabilitiesOf } from '../postgres/capabilities.ts';
import { systemIdentifierOf } from '../postgres/control-file.ts';
import { parseSettings, settingsIn } from '../postgres/settings-file.ts';
import { roleOf } from '../postgres/standby-role.ts';
import { findVersion } from '../postgres/version.ts';
import { exists, readIfExists } from '../system/durable.ts';
import { findProgram } from '../system/find-program.ts';
import { type PlacedSetting, settingsInOrder } from '../system/included-settings.ts';
import { isLoopback } from '../system/own-addresses.ts';
import { isVerifierOf } from '../system/password-verifier.ts';
import type { ProgramDeps } from '../system/program-deps.ts';
import { programRoot } from '../system/program-root.ts';
import { readSentinel } from '../system/sentinel.ts';
import { chooseCluster, findClusters, type FoundCluster, namedCluster } from './cluster.ts';
import { callOf, hostFlags } from './commands.ts';
import type { HostFacts, NamedHost, PrimaryFacts, ServerFacts, SetupFacts } from './facts.ts';
import { observeHosts, portIn } from './hosts.ts';
import { defaultArchive, type Places, placesOf, queueDirectoryFor } from './places.ts';
import type { OwnKeys } from './public-key.ts';
import type { SetupRequest } from './request.ts';
import { observeServer, withoutLinks } from './server.ts';
import { readOwnKeys } from './ssh.ts';

async function textOf(path: string): Promise<string | undefined> {
  return (await readIfExists(path))?.toString('utf8');
}

/** The facts in the INI files that are here already; a file with mistakes has none. */
interface FromIni {
  readonly pgdata: string | undefined;
  readonly archive: string | undefined;
  readonly queueDirectory: string | undefined;
  /** With the port of its ssh, if it has one. */
  readonly named: readonly NamedHost[];
  readonly password: string | undefined;
}

export function readIniFacts(
  role: SetupRequest['role'],
  archiver: string | undefined,
  standby: string | undefined,
): FromIni {
  const shipping = archiver === undefined ? undefined : parseArchiverConfig(archiver);
  const following = standby === undefined ? undefined : parseStandbyConfig(standby);
  const one = shipping?.kind === 'ok' ? shipping.settings : undefined;
  const other = following?.kind === 'ok' ? following.settings : undefined;
  const standbys = (one?.standbys ?? []).map(({ name, host, ssh, r_archivedir: archive }) => ({
    ...(name === host ? {} : { name }),
    host,
    port: portIn(ssh.args),
    ...(archive === one?.r_archivedir ? {} : { archive }),
  }));
  const primary = other && [{ host: other.master_public_ip, port: portIn(other.ssh.args) }];
  return {
    pgdata: role === 'primary' ? one?.pgdata : other?.pgdata,
    archive: role === 'primary' ? one?.r_archivedir : other?.archivedir,
    queueDirectory: one?.l_archivedir,
    named: role === 'primary' ? standbys : (primary ?? []),
    password: other?.repl_db_password,
  };
}

/** The named ones, added to those of the INI file; a standby has one primary. */
export function hostsOf(
  { role, others }: Pick<SetupRequest, 'role' | 'others'>,
  named: readonly NamedHost[],
): readonly NamedHost[] {
  if (role === 'standby') return others.length > 0 ? others : named;
  const isOf = (other: HostAddress) => (one: NamedHost) => [one.host, one.name].includes(other.host);
  const kept = named.filter((one) => !others.some((other) => isOf(other)(one)));
  return [
    ...kept,
    ...others.map((other) => {
      const known = named.find(isOf(other));
      return known === undefined ? other : { ...other, ...known, port: other.port ?? known.port };
    }),
  ];
}

/** The address from which this host would reach another one. Nothing is sent. */
function localAddressFor(address: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const finish = (found: string | undefined) => {
      socket.close();
      resolve(found);
    };
    socket.once('error', () => {
      finish(undefined);
    });
    socket.connect(9, address, () => {
      finish(socket.address().address);
    });
  });
}

async function addressesTowards(hosts: readonly HostFacts[]): Promise<readonly string[]> {
  const found = await Promise.all(hosts.flatMap(({ addresses }) => addresses).map(localAddressFor));
  return [...new Set(found.filter((address) => address !== undefined))];
}

/** Our file in conf.d, if the server reads that directory. */
export function confFileOf(configFile: string, text: string): string | undefined {
  const included = parseSettings(text).find(
    (line) => line.kind === 'include' && line.directive === 'include_dir',
  );
  if (included?.kind !== 'include') return undefined;
  const directory = included.path.startsWith('/') ? included.path : join(dirname(configFile), included.path);
  return join(directory, 'pitrtools.conf');
}

/** Settings that the server reads after those in our file, so that they count instead: in whatever file they are. */
function settingsBehind(found: readonly PlacedSetting[], ownFile: string): SetupFacts['overriding'] {
  const at = found.findLastIndex(({ file }) => file === ownFile);
  return new Map(at < 0 ? [] : found.slice(at + 1).map((setting) => [setting.name, setting]));
}

/** The configuration with all files that it includes: another program may have its archive_command in one of them. */
export async function configurationOf(
  configFile: string,
  conf: string | undefined,
  autoConf: ReadonlyMap<string, string>,
): Promise<Pick<SetupFacts, 'confFile' | 'configured' | 'overriding'>> {
  const ownFile = conf === undefined ? undefined : confFileOf(configFile, conf);
  const found = await settingsInOrder(conf ?? '', configFile);
  const auto = [...autoConf].map(([name, value]) => ({ name, value, file: 'postgresql.auto.conf' }));
  const last = (settings: readonly PlacedSetting[]) => settings.map((one) => [one.name, one] as const);
  return {
    confFile: ownFile === undefined ? undefined : await withoutLinks(ownFile),
    configured: new Map(last([...found, ...auto])),
    overriding:
      ownFile === undefined ? new Map() : new Map([...settingsBehind(found, ownFile), ...last(auto)]),
  };
}

async function programNames(name: 'cmd_archiver' | 'cmd_standby') {
  const ours = join(programRoot(), 'bin', name);
  const found = await findProgram(name, []);
  const isOurs = found !== undefined && (await realpath(found)) === (await realpath(ours).catch(() => ours));
  // The name on the PATH stays the same when the programs are upgraded.
  return isOurs ? { path: found, typed: name } : { path: ours, typed: ours };
}

/** The folder of psql and pg_ctl of a server that no package has installed; PATH and packages' folders need no key. */
async function programFolderOf(server: ServerFacts, pgdata: string): Promise<string | undefined> {
  if ((await findProgram('psql', [])) !== undefined) return undefined;
  const options = (await textOf(join(pgdata, 'postmaster.opts')).catch(() => undefined)) ?? '';
  const program = server.kind === 'seen' ? options.split(/\s/)[0] : undefined;
  return program?.startsWith('/') === true ? dirname(program) : undefined;
}

async function systemIdentifierIn(pgdata: string): Promise<string | undefined> {
  const bytes = await readIfExists(join(pgdata, 'global', 'pg_control')).catch(() => undefined);
  return bytes === undefined ? undefined : systemIdentifierOf(bytes);
}

function capabilitiesFor(cluster: FoundCluster, primary: PrimaryFacts): Capabilities | undefined {
  if (primary.kind === 'seen') return primary.capabilities;
  const version = findVersion(cluster.major ?? '');
  return version === undefined ? undefined : capabilitiesOf(version);
}

/** The cluster, or where it is to be: on a new standby where the primary has it, if nothing is here. */
async function findCluster(
  request: SetupRequest,
  wanted: string | undefined,
  command: string,
): Promise<{ readonly cluster: FoundCluster | undefined; readonly count: number }> {
  const found = await findClusters(wanted);
  const me = process.getuid?.();
  const chosen = chooseCluster({ found, wanted, me, command });
  const isNamed = chosen === undefined && wanted?.startsWith('/') === true;
  const cluster = isNamed && request.role === 'standby' ? await namedCluster(wanted) : chosen;
  return { cluster, count: found.length };
}

async function textsOf(paths: readonly (string | undefined)[]): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  for (const path of paths) {
    const text = path === undefined ? undefined : await textOf(path);
    if (path !== undefined && text !== undefined) texts.set(path, text);
  }
  return texts;
}

async function isReadable(path: string): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}

async function queuesIn(archive: string): Promise<readonly string[]> {
  const names = await readdir(archive, { withFileTypes: true }).catch(() => []);
  return names.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name);
}

async function helperFileFor(capabilities: Capabilities | undefined): Promise<string | undefined> {
  if (capabilities === undefined) return undefined;
  // In a checkout and in the npm package, then as the Debian package has it.
  for (const folder of [join(programRoot(), 'scripts'), '/usr/share/pitrtools']) {
    const path = join(folder, capabilities.helperSqlFile);
    if (await exists(path)) return path;
  }
  return undefined;
}

/** The facts of the first part: this host's cluster, its key, and the other hosts. */
interface Surroundings {
  readonly me: { readonly username: string; readonly homedir: string };
  readonly places: Places;
  readonly programs: SetupFacts['programs'];
  readonly fromIni: FromIni;
  readonly ownKeys: OwnKeys | undefined;
  readonly hosts: readonly HostFacts[];
  readonly primary: PrimaryFacts;
  readonly cluster: FoundCluster;
  readonly isOnlyCluster: boolean;
}

async function lookAround(deps: ProgramDeps, request: SetupRequest): Promise<Surroundings | undefined> {
  const { username, homedir } = userInfo();
  const places = placesOf(request.role, request.iniFile);
  const programs = {
    cmd_archiver: await programNames('cmd_archiver'),
    cmd_standby: await programNames('cmd_standby'),
  };
  const inis = await textsOf([places.archiverIni, places.standbyIni]);
  const fromIni = readIniFacts(request.role, inis.get(places.archiverIni), inis.get(places.standbyIni));
  const addresses = hostsOf(request, fromIni.named);
  const flags = addresses.length === 0 ? '' : ` ${hostFlags(request.role, addresses)}`;
  const call = callOf({ programs, places }, request.role === 'primary' ? 'cmd_archiver' : 'cmd_standby');
  const wanted = request.cluster ?? fromIni.pgdata;
  const { cluster: here, count } = await findCluster(request, wanted, `${call} --setup${flags}`);
  const ownKeys = await readOwnKeys(places);
  const archive = here && archiveFor(request, fromIni, here, count < 2);
  const question = { places, me: username, role: request.role, archive, hasKey: ownKeys !== undefined };
  const { hosts, primary } = await observeHosts(deps, addresses, question);
  const cluster = here ?? (primary.kind === 'seen' ? await namedCluster(primary.settings.pgdata) : undefined);
  if (cluster === undefined) return undefined;
  const me = { username, homedir };
  return { me, places, programs, fromIni, ownKeys, hosts, primary, cluster, isOnlyCluster: count < 2 };
}

function archiveFor(
  request: SetupRequest,
  fromIni: FromIni,
  { pgdata }: FoundCluster,
  isOnlyCluster: boolean,
): string {
  return request.archive ?? fromIni.archive ?? defaultArchive(pgdata, isOnlyCluster);
}

/** A standby's archive is where the primary sends its WAL. */
function archiveOfRun(request: SetupRequest, around: Surroundings): string | undefined {
  const { primary, fromIni, cluster, isOnlyCluster } = around;
  if (request.role === 'primary') return archiveFor(request, fromIni, cluster, isOnlyCluster);
  const given = request.archive ?? fromIni.archive;
  if (given !== undefined || primary.kind !== 'seen') return given;
  return primary.settings.standbys.find(({ name }) => name === primary.ownName)?.r_archivedir;
}

/** The role by which this host streams, and its state on the primary. */
function streamingRole(
  deps: ProgramDeps,
  { role }: SetupRequest,
  { primary }: Surroundings,
  server: ServerFacts,
) {
  if (role === 'standby' && primary.kind === 'seen')
    return { name: roleOf(primary.ownName), state: primary.role };
  const state = role === 'primary' && server.kind === 'seen' ? server.role : undefined;
  return { name: roleOf(deps.hostName), state };
}

async function noted(archive: string | undefined, { queueDirectory }: FromIni) {
  const directory = queueDirectory ?? (archive === undefined ? undefined : queueDirectoryFor(archive));
  return {
    archiveOf: archive === undefined ? undefined : (await readSentinel(archive))?.systemIdentifier,
    queueDirectory: directory,
    queuesOf:
      directory === undefined
        ? undefined
        : (await textOf(join(directory, '.archiver', 'system_identifier')))?.trim(),
    queues: directory === undefined ? [] : await queuesIn(directory),
  };
}

async function filesOf(around: Surroundings, server: ServerFacts) {
  const { cluster, places } = around;
  const conf = (await isReadable(cluster.configFile)) ? await textOf(cluster.configFile) : undefined;
  const hbaFile = server.kind === 'seen' ? server.hbaFile : join(dirname(cluster.configFile), 'pg_hba.conf');
  const text = await textOf(join(cluster.pgdata, 'postgresql.auto.conf')).catch(() => undefined);
  const autoConf = settingsIn(text ?? '');
  const configuration = await configurationOf(cluster.configFile, conf, autoConf);
  const texts = await textsOf([places.archiverIni, places.standbyIni, configuration.confFile, hbaFile]);
  return { ...configuration, texts, autoConf };
}

/**
 * @param newPassword the same one in every look of a run
 * @returns undefined if there is no cluster, and none that could be meant
 */
export async function observe(
  deps: ProgramDeps,
  request: SetupRequest,
  newPassword: string,
): Promise<SetupFacts | undefined> {
  const around = await lookAround(deps, request);
  if (around === undefined) return undefined;
  const { me, fromIni, cluster, primary, hosts } = around;
  const capabilities = capabilitiesFor(cluster, primary);
  const ownRole = roleOf(deps.hostName);
  const server = await observeServer(cluster.pgdata, me.username, capabilities, ownRole);
  const archive = archiveOfRun(request, around);
  const password = fromIni.password ?? newPassword;
  const { name, state } = streamingRole(deps, request, around, server);
  const authorized = join(me.homedir, '.ssh', 'authorized_keys');
  return {
    ...around,
    ...(await filesOf(around, server)),
    ...(await noted(archive, fromIni)),
    request,
    me: me.username,
    hostName: deps.hostName,
    capabilities,
    hasSystemd: await exists('/run/systemd/system'),
    programFolder: await programFolderOf(server, cluster.pgdata),
    helperFile: await helperFileFor(capabilities),
    authorized: { path: authorized, text: (await textOf(authorized)) ?? '' },
    ownAddresses: (await addressesTowards(hosts)).filter((address) => !isLoopback(address)),
    server,
    password,
    hasPassword:
      state?.role !== undefined &&
      state.role.canReplicate &&
      state.role.isMember &&
      isVerifierOf(state.role.verifier, name, password),
    archive,
    systemIdentifier: await systemIdentifierIn(cluster.pgdata),
  };
}

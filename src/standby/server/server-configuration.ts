import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { StandbySettings } from '../../config/options-standby.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { settingsIn } from '../../postgres/settings-file.ts';
import { exists, readIfExists } from '../../system/durable.ts';
import { settingsWithIncluded } from '../../system/included-settings.ts';
import { shellQuote } from '../../system/shell-quote.ts';
import { readRecord } from '../host/backup-record/record.ts';
import { writtenNames } from '../recovery/own-delay.ts';
import type { Server } from './server.ts';

/** One of the INI file's two sets of configuration files: for the standby, or for a promoted server. */
export type ConfigurationRole = 'standby' | 'failover';

/** The configuration with which a server is started. */
export interface ServerConfiguration {
  readonly configFile: string;
  /** Parameters that must be given on the command line, by name. */
  readonly parameters: ReadonlyMap<string, string>;
  /** The user's settings: in `configFile`, in the files that it includes, and over them those of `ALTER SYSTEM`. */
  readonly inFile: ReadonlyMap<string, string>;
}

export interface ConfigurationSources {
  readonly conf: string | undefined;
  readonly hba: string | undefined;
}

export function configurationSources(
  settings: StandbySettings,
  role: ConfigurationRole,
): ConfigurationSources {
  if (role === 'standby') return { conf: settings.pg_conf, hba: settings.pg_hba_conf };
  return {
    conf: settings.pg_conf_failover ?? settings.pg_conf,
    hba: settings.pg_hba_conf_failover ?? settings.pg_hba_conf,
  };
}

/**
 * Debian keeps a cluster's configuration in /etc/postgresql/VERSION/NAME. A file there counts only if it names this
 * data directory, because many clusters have the name "main". If `PG_CLUSTER_CONF_ROOT` is set, Debian's own tools look
 * there instead.
 */
export async function findDebianConfigFile(
  pgdata: string,
  major: string,
  root = process.env['PG_CLUSTER_CONF_ROOT'] ?? '/etc/postgresql',
): Promise<string | undefined> {
  const path = join(root, major, basename(pgdata), 'postgresql.conf');
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined || settingsIn(text).get('data_directory') !== pgdata) return undefined;
  return path;
}

async function configFileOf(
  settings: StandbySettings,
  sources: ConfigurationSources,
  major: string,
): Promise<string> {
  const inPgdata = join(settings.pgdata, 'postgresql.conf');
  if (sources.conf !== undefined) return settings.no_copy_conf ? sources.conf : inPgdata;
  if (await exists(inPgdata)) return inPgdata;
  return (await findDebianConfigFile(settings.pgdata, major)) ?? inPgdata;
}

/** The parameters that make the server use this data directory and these files, whatever `configFile` contains. */
export function commandLineParameters(
  settings: Pick<StandbySettings, 'pgdata' | 'no_copy_conf'>,
  sources: ConfigurationSources,
  configFile: string,
  inFile: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  const { pgdata } = settings;
  if (configFile !== join(pgdata, 'postgresql.conf')) parameters.set('config_file', configFile);
  const dataDirectory = inFile.get('data_directory');
  // A copy of the primary's file may name the primary's directory, and that setting overrides -D.
  if (dataDirectory !== undefined && dataDirectory !== pgdata) parameters.set('data_directory', pgdata);
  if (sources.hba === undefined) return parameters;
  const hba = settings.no_copy_conf ? sources.hba : join(pgdata, 'pg_hba.conf');
  const isFound = (inFile.get('hba_file') ?? join(pgdata, 'pg_hba.conf')) === hba;
  return isFound ? parameters : parameters.set('hba_file', hba);
}

/** The settings of a user's `ALTER SYSTEM`: those in `postgresql.auto.conf` but for the ones of -S and -F999. */
async function setBySystem(pgdata: string): Promise<readonly (readonly [string, string])[]> {
  const text = (await readIfExists(join(pgdata, 'postgresql.auto.conf')))?.toString('utf8') ?? '';
  // A record that cannot be read is reported by those that need it.
  const record = await readRecord(pgdata).catch(() => undefined);
  const ours = writtenNames(record ?? {});
  return [...settingsIn(text)].filter(([name]) => !ours.includes(name));
}

/** The configuration as it will be when the INI file's files have been copied. */
export async function readConfiguration(
  { deps: { settings, drillParameters = new Map<string, string>() }, capabilities }: Server,
  role: ConfigurationRole,
): Promise<ServerConfiguration> {
  const sources = configurationSources(settings, role);
  const configFile = await configFileOf(settings, sources, capabilities.version.major);
  const text = await readIfExists(sources.conf ?? configFile);
  // A relative path in the file counts from where the server will read it.
  const inFile = new Map([
    ...(await settingsWithIncluded(text?.toString('utf8') ?? '', dirname(configFile))),
    ...(capabilities.hasAutoConf ? await setBySystem(settings.pgdata) : []),
  ]);
  const needed = commandLineParameters(settings, sources, configFile, inFile);
  const parameters = new Map([...needed, ...drillParameters]);
  return { configFile, parameters, inFile };
}

/** Whether a standby with this configuration answers queries, as far as its files show it. */
export function isHotStandby(
  { parameters, inFile }: Pick<ServerConfiguration, 'parameters' | 'inFile'>,
  { hotStandbyDefaultOn }: Pick<Capabilities, 'hotStandbyDefaultOn'>,
): boolean {
  const set = parameters.get('hot_standby') ?? inFile.get('hot_standby');
  return set === undefined ? hotStandbyDefaultOn : /^(on|t.*|y.*|1)$/i.test(set);
}

/** For pg_ctl's `-o`, whose value is read by a shell. */
export function serverOptions(parameters: ReadonlyMap<string, string>): string {
  return [...parameters].map(([name, value]) => `-c ${name}=${shellQuote(value)}`).join(' ');
}

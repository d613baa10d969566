import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { StandbySettings } from '../../config/options-standby.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { settingsIn } from '../../postgres/settings-file.ts';
import { exists, readIfExists } from '../../system/durable.ts';
import { shellQuote } from '../../system/shell-quote.ts';

/** Which of the INI's two sets of configuration files counts: the standby's, or the one of a server that was promoted. */
export type ConfigurationRole = 'standby' | 'failover';

/** The configuration that a server is started with. */
export interface ServerConfiguration {
  readonly configFile: string;
  /** Parameters that must be given on the command line, by name. */
  readonly parameters: ReadonlyMap<string, string>;
  /** The settings in `configFile` itself, without the files that it includes. */
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

/** Where Debian's own tools look, too. */
function debianRoot(): string {
  return process.env['PG_CLUSTER_CONF_ROOT'] ?? '/etc/postgresql';
}

/**
 * Debian keeps a cluster's configuration in /etc/postgresql/VERSION/NAME. A file there counts only if it says itself that
 * it is for this data directory: "main" is the name of many. Debian's own tools look elsewhere where `PG_CLUSTER_CONF_ROOT` is set.
 */
export async function findDebianConfigFile(
  pgdata: string,
  major: string,
  root = debianRoot(),
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

/** The parameters that keep the server in this data directory and with these files, whatever `configFile` says. */
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
  // A copy of the primary's file may name the primary's directory; -D does not win over it.
  if (dataDirectory !== undefined && dataDirectory !== pgdata) parameters.set('data_directory', pgdata);
  if (sources.hba === undefined) return parameters;
  const hba = settings.no_copy_conf ? sources.hba : join(pgdata, 'pg_hba.conf');
  const isFound = (inFile.get('hba_file') ?? join(pgdata, 'pg_hba.conf')) === hba;
  return isFound ? parameters : parameters.set('hba_file', hba);
}

/** As it will be once the files of the INI are in their places. */
export async function readConfiguration(
  settings: StandbySettings,
  role: ConfigurationRole,
  major: string,
): Promise<ServerConfiguration> {
  const sources = configurationSources(settings, role);
  const configFile = await configFileOf(settings, sources, major);
  const text = await readIfExists(sources.conf ?? configFile);
  const inFile = settingsIn(text?.toString('utf8') ?? '');
  const parameters = commandLineParameters(settings, sources, configFile, inFile);
  return { configFile, parameters, inFile };
}

/** Whether a standby that is started so answers queries, as far as the file itself says. */
export function isHotStandby(
  { parameters, inFile }: Pick<ServerConfiguration, 'parameters' | 'inFile'>,
  { hotStandbyDefaultOn }: Pick<Capabilities, 'hotStandbyDefaultOn'>,
): boolean {
  const set = parameters.get('hot_standby') ?? inFile.get('hot_standby');
  return set === undefined ? hotStandbyDefaultOn : /^(on|t.*|y.*|1)$/i.test(set);
}

/** For pg_ctl's `-o`, which a shell reads. */
export function serverOptions(parameters: ReadonlyMap<string, string>): string {
  return [...parameters].map(([name, value]) => `-c ${name}=${shellQuote(value)}`).join(' ');
}

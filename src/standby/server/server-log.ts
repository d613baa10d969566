import { constants } from 'node:fs';
import { access, readFile, readlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { StandbySettings } from '../../config/options-standby.ts';
import { findVersion } from '../../postgres/version.ts';
import { exists } from '../../system/durable.ts';
import { findDebianConfigFile } from './server-configuration.ts';

/** The log if nothing else names one. It must not be our own output, which the server would hold open forever. */
const defaultLogName = 'pitrtools-server.log';

const debianLogs = '/var/log/postgresql';

async function canAppendTo(path: string): Promise<boolean> {
  const place = (await exists(path)) ? path : dirname(path);
  return access(place, constants.W_OK).then(
    () => true,
    () => false,
  );
}

/**
 * The log that pg_lsclusters shows and logrotate rotates; undefined if this is no cluster of Debian's, or if the log is
 * not ours.
 */
async function debianLogFile(pgdata: string, logs: string): Promise<string | undefined> {
  const text = await readFile(join(pgdata, 'PG_VERSION'), 'utf8').catch(() => '');
  const major = findVersion(text)?.major;
  if (major === undefined) return undefined;
  const configFile = await findDebianConfigFile(pgdata, major);
  if (configFile === undefined) return undefined;
  const link = await readlink(join(dirname(configFile), 'log')).catch(() => undefined);
  const path =
    link === undefined
      ? join(logs, `postgresql-${major}-${basename(pgdata)}.log`)
      : resolve(dirname(configFile), link);
  return (await canAppendTo(path)) ? path : undefined;
}

/** The file to which pg_ctl appends the server's output, until the server opens a log of its own. */
export async function serverLogFile(
  { logfile, pgdata }: Pick<StandbySettings, 'logfile' | 'pgdata'>,
  logs = debianLogs,
): Promise<string> {
  return logfile ?? (await debianLogFile(pgdata, logs)) ?? join(pgdata, defaultLogName);
}

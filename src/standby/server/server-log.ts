import { constants } from 'node:fs';
import { access, readFile, readlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { StandbySettings } from '../../config/options-standby.ts';
import { messageOf, refusal } from '../../errors.ts';
import { findVersion } from '../../postgres/version.ts';
import { exists } from '../../system/durable.ts';
import { findDebianConfigFile } from './server-configuration.ts';

/** The log if nothing else names one. It must not be our own output, which the server would hold open forever. */
const defaultLogName = 'pitrtools-server.log';

const debianLogs = '/var/log/postgresql';

async function requireAppendable(path: string): Promise<void> {
  await access((await exists(path)) ? path : dirname(path), constants.W_OK);
}

async function canAppendTo(path: string): Promise<boolean> {
  return requireAppendable(path).then(
    () => true,
    () => false,
  );
}

/** pg_ctl reports success although its shell could not open the log, and then no server is there. */
export async function requireServerLog({ logfile }: Pick<StandbySettings, 'logfile'>): Promise<void> {
  if (logfile === undefined) return;
  try {
    await requireAppendable(logfile);
  } catch (error) {
    throw refusal(`pg_ctl could not write logfile "${logfile}", and the server would not start`, {
      detail: messageOf(error),
      hint: 'Make its directory, give this user write access, or set logfile: to another path.',
    });
  }
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

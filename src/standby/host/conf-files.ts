import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { StandbySettings } from '../../config/options-standby.ts';
import { messageOf, refusal } from '../../errors.ts';
import { copyDurably, exists, readIfExists } from '../../system/durable.ts';
import type { StandbyDeps } from '../deps.ts';
import { type ConfigurationRole, configurationSources } from '../server/server-configuration.ts';
import { writeForServer } from '../server/server-modes.ts';

/** A configuration file in the INI file, and its place in pgdata under PostgreSQL's own name. */
export interface ConfCopy {
  readonly key: 'pg_conf' | 'pg_hba_conf' | 'pg_conf_failover' | 'pg_hba_conf_failover';
  readonly from: string;
  readonly to: string;
}

/** The keys of the INI file, by the name of the file in pgdata. */
const confKeys: Readonly<Record<ConfigurationRole, Readonly<Record<string, ConfCopy['key']>>>> = {
  standby: { 'postgresql.conf': 'pg_conf', 'pg_hba.conf': 'pg_hba_conf' },
  failover: { 'postgresql.conf': 'pg_conf_failover', 'pg_hba.conf': 'pg_hba_conf_failover' },
};

async function requireReadable(key: string, path: string): Promise<void> {
  await access(path, constants.R_OK).catch((error: unknown) => {
    throw refusal(`cannot read "${path}" (key ${key})`, {
      detail: messageOf(error),
      hint: `Make the file, or take ${key}: out of the INI file.`,
    });
  });
}

/** The files that the INI file names for a role, each with its place in pgdata, whether or not it must be copied. */
export async function confFiles(
  settings: StandbySettings,
  role: ConfigurationRole,
): Promise<readonly ConfCopy[]> {
  const files: ConfCopy[] = [];
  for (const [name, key] of Object.entries(confKeys[role])) {
    const from = settings[key];
    if (from === undefined) continue;
    await requireReadable(key, from);
    files.push({ key, from, to: join(settings.pgdata, name) });
  }
  return files;
}

/**
 * The copies that would change something. With `no_copy_conf` there are none: the server reads the named files
 * instead.
 */
export async function planConfCopies(
  settings: StandbySettings,
  role: ConfigurationRole,
): Promise<readonly ConfCopy[]> {
  const copies: ConfCopy[] = [];
  for (const file of await confFiles(settings, role))
    if (!settings.no_copy_conf && !(await hasSameContent(file.from, file.to))) copies.push(file);
  return copies;
}

async function hasSameContent(one: string, other: string): Promise<boolean> {
  const [first, second] = [await readIfExists(one), await readIfExists(other)];
  return first !== undefined && second !== undefined && first.equals(second);
}

/** Whether a promoted server must read other files than the standby's. */
export function hasOtherSources(settings: StandbySettings): boolean {
  const standby = configurationSources(settings, 'standby');
  const failover = configurationSources(settings, 'failover');
  return standby.conf !== failover.conf || standby.hba !== failover.hba;
}

/** A replaced file may contain changes that exist nowhere else: it is kept beside the new one. */
async function keepOld(settings: StandbySettings, copy: ConfCopy, now: Date): Promise<string | undefined> {
  for (const key of Object.values(confKeys).flatMap((keys) => Object.values(keys))) {
    const source = settings[key];
    if (source !== undefined && (await hasSameContent(source, copy.to))) return undefined;
  }
  if (!(await exists(copy.to))) return undefined;
  const kept = `${copy.to}.before-pitrtools-${now.toISOString().replaceAll(/[-:]|\.\d+/g, '')}`;
  await copyDurably(copy.to, kept).catch((error: unknown) => {
    throw refusal(`cannot keep "${copy.to}" as "${kept}"`, { detail: messageOf(error) });
  });
  return kept;
}

export async function copyConf(
  deps: Pick<StandbyDeps, 'settings' | 'log' | 'now'>,
  copy: ConfCopy,
): Promise<void> {
  const kept = await keepOld(deps.settings, copy, new Date(deps.now()));
  if (kept !== undefined) deps.log.notice(`the file that was ${copy.to} is kept as ${kept}`);
  const content = await readIfExists(copy.from);
  if (content === undefined) throw refusal(`"${copy.from}" (key ${copy.key}) does not exist any more`);
  await writeForServer(deps.settings.pgdata, copy.to, content);
}

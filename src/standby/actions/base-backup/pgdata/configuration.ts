import { isAbsolute, join } from 'node:path';
import { parseSettings, settingsIn, withSettings } from '../../../../postgres/settings-file.ts';
import { exists, readIfExists } from '../../../../system/durable.ts';
import { isRemoteFile, readConfigurationFile } from '../../../primary/remote-files.ts';
import { makeForServer, writeForServer } from '../../../server/server-modes.ts';
import type { BackupContext } from '../context.ts';
import type { MissingConfiguration } from '../facts.ts';

/** These settings contain paths on the primary. */
const placeSettings = new Set(['data_directory', 'hba_file', 'ident_file', 'external_pid_file']);

/**
 * Settings that make a server recover. The primary has them if it was a standby once; from 12 on they are copied with
 * `postgresql.auto.conf`.
 */
const recoverySettings = new Set([
  'archive_cleanup_command',
  'primary_conninfo',
  'primary_slot_name',
  'promote_trigger_file',
  'recovery_end_command',
  'recovery_min_apply_delay',
  'recovery_target',
  'recovery_target_action',
  'recovery_target_inclusive',
  'recovery_target_lsn',
  'recovery_target_name',
  'recovery_target_time',
  'recovery_target_timeline',
  'recovery_target_xid',
  'restore_command',
  'wal_retrieve_retry_interval',
]);

/** Settings that affect other servers as soon as this server is promoted. */
const outwardSettings = ['archive_command', 'archive_library', 'synchronous_standby_names'];

function noticeOutward({ deps }: BackupContext, file: string, text: string): void {
  const values = settingsIn(text);
  const named = outwardSettings.filter((name) => (values.get(name) ?? '') !== '');
  if (named.length > 0) deps.log.notice(`the copied ${file} contains the primary's ${named.join(' and ')}`);
}

/** A server does not start if its configuration includes a directory that does not exist. */
async function makeIncludedDirectories({ deps, facts }: BackupContext, text: string): Promise<void> {
  for (const line of parseSettings(text)) {
    if (line.kind !== 'include') continue;
    const path = isAbsolute(line.path) ? line.path : join(facts.place.pgdata, line.path);
    if (await exists(path)) continue;
    deps.log.notice(`postgresql.conf includes "${line.path}", which was not copied`);
    if (line.directive === 'include_dir' && !isAbsolute(line.path))
      await makeForServer(facts.place.pgdata, path);
  }
}

async function copyServerConfiguration(context: BackupContext, target: string, text: string): Promise<void> {
  // Bytes beyond ASCII stay unchanged, whatever the encoding of the file.
  const own = withSettings(text, { set: new Map(), remove: placeSettings });
  await writeForServer(context.facts.place.pgdata, target, Buffer.from(own, 'latin1'));
  await makeIncludedDirectories(context, own);
}

async function readFromPrimary({ primary }: BackupContext, source: string): Promise<Buffer | undefined> {
  const { shell } = primary;
  return (await isRemoteFile(shell, source)) ? readConfigurationFile(shell, source) : undefined;
}

/**
 * Copies the primary's configuration if the standby has none of its own. This happens once: a configuration is never
 * overwritten.
 *
 * @param read undefined for a file that cannot be had: a server runs without its pg_ident.conf, for example
 */
export async function copyConfiguration(
  context: BackupContext,
  files: readonly MissingConfiguration[],
  read = (source: string) => readFromPrimary(context, source),
): Promise<void> {
  const { deps, facts } = context;
  for (const { name, source } of files) {
    const content = await read(source);
    if (content === undefined) {
      deps.log.warning(`there is no ${name} here, and the primary's "${source}" did not come with the copy`);
      continue;
    }
    const target = join(facts.place.pgdata, name);
    deps.log.notice(`copying the primary's ${name}, since there is none in ${facts.place.pgdata}`);
    if (name !== 'postgresql.conf') {
      await writeForServer(facts.place.pgdata, target, content);
      continue;
    }
    const text = content.toString('latin1');
    await copyServerConfiguration(context, target, text);
    noticeOutward(context, name, text);
  }
}

/** Removes the primary's own recovery settings from the copy. -S writes the settings of this standby. */
export async function cleanSettings(context: BackupContext): Promise<void> {
  const { pgdata } = context.facts.place;
  const path = join(pgdata, 'postgresql.auto.conf');
  const content = await readIfExists(path);
  if (content === undefined) return;
  const text = content.toString('latin1');
  const own = withSettings(text, { set: new Map(), remove: recoverySettings });
  if (own !== text) await writeForServer(pgdata, path, Buffer.from(own, 'latin1'));
  noticeOutward(context, 'postgresql.auto.conf', own);
}

import { readlink } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { conninfo } from '../../postgres/quoting.ts';
import { findVersion, isSameMajor } from '../../postgres/version.ts';
import { describeResult, succeeded } from '../../system/command.ts';
import { findProgram } from '../../system/find-program.ts';
import { quoted } from '../../system/printable.ts';
import type { StandbyDeps } from '../deps.ts';
import type { Address } from '../follow/ini-file.ts';
import { withAccess } from '../primary/protocol/pass-file.ts';
import { findPsql } from '../primary/protocol/protocol-primary.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { databaseOf } from '../server/database.ts';
import { programFolders } from '../server/server-programs.ts';
import { mountedHere } from './rewind-directory.ts';

/** How pg_rewind can work here, or every reason why it cannot. */
export type RewindAbility =
  | {
      readonly kind: 'able';
      readonly program: string;
      /** The database role that may read the other server's files. */
      readonly role: string;
    }
  | { readonly kind: 'unable'; readonly reasons: readonly string[] };

const limitMs = 60_000;

async function findOurs(
  deps: StandbyDeps,
  { capabilities }: DataDirectory,
  name: string,
): Promise<string | undefined> {
  const { pg_ctl } = deps.settings;
  const beside = pg_ctl.program.includes('/') ? [pg_ctl.program.replace(/\/[^/]*$/, '')] : [];
  const folders = [...deps.settings.includepath, ...beside, ...programFolders(deps, capabilities)];
  const program = await findProgram(name, folders);
  if (program === undefined) return undefined;
  const said = findVersion((await deps.run({ program, args: ['--version'] }, { limitMs })).stdout);
  return said !== undefined && isSameMajor(said, capabilities.version) ? program : undefined;
}

/** pg_rewind relies on WAL for every change of a page, hint bits included, and on whole pages in it. Pure. */
export function reasonsInControlData(output: string): readonly string[] {
  const value = (name: string) => new RegExp(`^${name}:\\s*(\\S+)$`, 'm').exec(output)?.[1];
  const hasHints = value('wal_log_hints setting') === 'on';
  // 2 and 3, from 19 on, stand for a change that is in progress: pg_rewind does not rely on it.
  const hasChecksums = value('Data page checksum version') === '1';
  const reasons: string[] = [];
  if (!hasHints && !hasChecksums)
    reasons.push(
      'the cluster has neither data checksums nor wal_log_hints, so that pages may have changed without WAL',
    );
  if (value("Latest checkpoint's full_page_writes") === 'off') reasons.push('full_page_writes was off');
  return reasons;
}

async function settingReasons(deps: StandbyDeps, directory: DataDirectory): Promise<readonly string[]> {
  const program = await findOurs(deps, directory, 'pg_controldata');
  if (program === undefined) return ['there is no pg_controldata of this release here'];
  const result = await deps.run({ program, args: ['-D', directory.pgdata] }, { limitMs });
  return succeeded(result)
    ? reasonsInControlData(result.stdout)
    : [`pg_controldata: ${describeResult(result)}`];
}

/** pg_rewind stops half way at a file that it cannot read or write: then the cluster is destroyed. */
async function fileReasons(deps: StandbyDeps, { pgdata, capabilities }: DataDirectory) {
  const args = ['-L', pgdata, '(', '!', '-readable', '-o', '!', '-writable', ')', '-print', '-quit'];
  const found = await deps.run({ program: 'find', args }, { limitMs: 10 * limitMs, signal: deps.signal });
  const reasons: string[] = [];
  const first = found.stdout.trim();
  if (first !== '') reasons.push(`"${quoted(first)}" cannot be read and written here`);
  else if (!succeeded(found))
    reasons.push(`not all of "${pgdata}" could be looked at: ${describeResult(found)}`);
  const link = await readlink(join(pgdata, capabilities.walDirName)).catch(() => undefined);
  if (link !== undefined && !isAbsolute(link))
    reasons.push(`${capabilities.walDirName} is a link with a relative path`);
  for (const name of await mountedHere(pgdata))
    reasons.push(`${name} is a mount point, which cannot be moved`);
  return reasons;
}

/** The functions that pg_rewind calls there (manual, "pg_rewind", Notes). */
const readingFunctions = [
  'pg_ls_dir(text, boolean, boolean)',
  'pg_stat_file(text, boolean)',
  'pg_read_binary_file(text)',
  'pg_read_binary_file(text, bigint, bigint, boolean)',
];

const mayReadFiles = `SELECT CASE WHEN current_setting('is_superuser') = 'on' OR (${readingFunctions
  .map((signature) => `has_function_privilege('${signature}', 'EXECUTE')`)
  .join(' AND ')}) THEN 'yes' ELSE 'no' END`;

export function sourceConninfo({ settings }: StandbyDeps, { host, port }: Address, role: string): string {
  const { sslmode } = settings;
  return conninfo({ host, port, user: role, dbname: databaseOf(settings), sslmode, connect_timeout: 10 });
}

/** pg_rewind connects to the other server from here, as one of the two roles that the INI file names. */
async function roleOf(deps: StandbyDeps, address: Address): Promise<{ role: string } | { reason: string }> {
  const { settings } = deps;
  const psql = await findPsql(deps);
  const failures: string[] = [];
  for (const role of new Set([settings.user, settings.repl_db_user ?? settings.user])) {
    const result = await withAccess(accessOf(deps, role), role, (env) =>
      deps.run(
        {
          program: psql.program,
          args: [...psql.args, '-XAtw', '-d', sourceConninfo(deps, address, role), '-c', mayReadFiles],
        },
        { limitMs, env, signal: deps.signal },
      ),
    );
    if (succeeded(result) && result.stdout.trim() === 'yes') return { role };
    failures.push(
      succeeded(result)
        ? `role "${role}" cannot read the files of the server on ${address.host}`
        : `role "${role}" cannot log in to ${address.host} from here: ${describeResult(result)}`,
    );
  }
  return { reason: failures.join('; ') };
}

/** The password of the INI file belongs to the role for replication. */
export function accessOf({ settings }: StandbyDeps, role: string) {
  const { sslmode, repl_db_user, repl_db_password } = settings;
  return { sslmode, repl_db_password: role === repl_db_user ? repl_db_password : undefined };
}

export async function observeRewind(
  deps: StandbyDeps,
  directory: DataDirectory,
  isClean: boolean,
  address: Address,
): Promise<RewindAbility> {
  const { capabilities } = directory;
  const unable = (...reasons: readonly string[]): RewindAbility => ({ kind: 'unable', reasons });
  if (!capabilities.hasPgRewind) return unable(`PostgreSQL ${capabilities.version.major} has no pg_rewind`);
  const program = await findOurs(deps, directory, 'pg_rewind');
  if (program === undefined)
    return unable(`there is no pg_rewind of PostgreSQL ${capabilities.version.major} here`);
  const [ofSettings, ofFiles, login] = await Promise.all([
    settingReasons(deps, directory),
    fileReasons(deps, directory),
    roleOf(deps, address).catch((error: unknown) => ({ reason: messageOf(error) })),
  ]);
  const reasons = [...ofSettings, ...ofFiles];
  if (!isClean && !capabilities.pgRewindRecovers)
    reasons.push('the server was not shut down cleanly, and before PostgreSQL 13 pg_rewind needs that');
  if ('reason' in login) reasons.push(login.reason);
  return 'role' in login && reasons.length === 0
    ? { kind: 'able', program, role: login.role }
    : { kind: 'unable', reasons };
}

import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { clientProgram } from '../../../test/harness/postgres-programs.ts';
import { mustRun } from '../../../test/harness/processes.ts';
import { type BackupSite, mustSucceed } from './base-backup-site.ts';
import { pgBackRest, runPgBackRest } from './pgbackrest.ts';
import { type Ground, repositoryOf } from './site.ts';
import { sshScript } from './ssh-script.ts';

const limitMs = 1_800_000;

/** A way to make a base backup on the standby's host that is flushed there. */
export interface BackupTool {
  readonly name: string;
  readonly label: string;
  readonly needs?: string;
  /** Measured only once, because it takes long and is compared with nothing. */
  readonly isAside?: boolean;
  readonly prepare?: (ground: Ground) => Promise<void>;
  /** Removes the leftovers of an earlier run, before the clock starts. */
  readonly clear: (site: BackupSite) => void;
  readonly first: (site: BackupSite) => Promise<void>;
  /** Makes another backup after changes, on top of the existing copy if the tool can do that. */
  readonly again: (site: BackupSite) => Promise<void>;
}

/**
 * Empties the files of the old copy and moves them aside. After many files were removed, ext4 is slow for minutes to
 * make new ones, for every tool.
 */
function clearCopy({ world, standby }: BackupSite): void {
  if (!existsSync(standby.pgdata)) return;
  const heap = join(world.directory, 'cleared');
  mkdirSync(heap, { recursive: true });
  const aside = join(heap, String(readdirSync(heap).length + 1));
  renameSync(standby.pgdata, aside);
  for (const entry of readdirSync(aside, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) truncateSync(join(entry.parentPath, entry.name));
  }
}

/** For a link that is faster than processors can compress by zstd: doc/base-backup.md. */
const forFastLinks = '-z --compress-choice=lz4';

function ours(threads: number, flags?: string): BackupTool {
  const run = async ({ world, standby }: BackupSite): Promise<void> => {
    standby.writeIni({ rsync_threads: threads, rsync_flags: flags });
    mustSucceed(await world.cmdStandby(standby, ['-B'], { limitMs }));
  };
  return {
    name: `threads-${String(threads)}${flags === undefined ? '' : '-lz4'}`,
    label: `cmd_standby -B, rsync_threads: ${String(threads)}${flags === undefined ? '' : ', lz4'}`,
    clear: clearCopy,
    first: run,
    again: run,
  };
}

async function pgBaseBackup(site: BackupSite, sslMode: string, flags: readonly string[]): Promise<void> {
  const { primary, standby } = site;
  // It writes only into an empty directory.
  clearCopy(site);
  mkdirSync(standby.pgdata, { recursive: true, mode: 0o700 });
  const to = ['-h', primary.host.address, '-p', String(primary.port), '-U', primary.user];
  await mustRun(clientProgram('pg_basebackup'), [...to, '-D', standby.pgdata, '-c', 'fast', ...flags], {
    env: { ...standby.env, PGSSLMODE: sslMode },
    limitMs,
  });
}

/** A certificate of its own, as Debian's packages give one to each server. */
async function prepareTls({ primary }: Ground): Promise<void> {
  const files = ['-keyout', join(primary.pgdata, 'server.key'), '-out', join(primary.pgdata, 'server.crt')];
  await mustRun('openssl', ['req', '-x509', '-nodes', '-newkey', 'rsa:2048', '-subj', '/CN=bench', ...files]);
  chmodSync(join(primary.pgdata, 'server.key'), 0o600);
  primary.configure({ ssl: 'on' });
  await primary.reload();
}

function pgBaseBackupBy(
  sslMode: 'disable' | 'require',
  ...flags: readonly string[]
): Pick<BackupTool, 'clear' | 'first' | 'again'> {
  const run = (site: BackupSite): Promise<void> => pgBaseBackup(site, sslMode, flags);
  return { clear: clearCopy, first: run, again: run };
}

/** Includes the start and the end of the backup and a flush, without which the copy would be worth nothing. */
function rsync(flags: string, isAside: boolean): BackupTool {
  const run = async ({ primary, standby }: BackupSite): Promise<void> => {
    mkdirSync(standby.pgdata, { recursive: true, mode: 0o700 });
    const [begin, end] =
      primary.major >= 15
        ? ["SELECT pg_backup_start('bench', true)", 'SELECT pg_backup_stop(false)']
        : ["SELECT pg_start_backup('bench', true, false)", 'SELECT pg_stop_backup(false, false)'];
    await primary.withSession(async (client) => {
      await client.query(begin);
      const excluded = ['/pg_wal/*', '/postmaster.pid', '/postmaster.opts'].map(
        (path) => `--exclude=${path}`,
      );
      const paths = [`${primary.host.name}:${primary.pgdata}/`, `${standby.pgdata}/`];
      const args = [flags, '--delete', ...excluded, '-e', sshScript(standby.host), ...paths];
      await mustRun('rsync', args, { env: standby.env, limitMs });
      await mustRun('sync', ['-f', standby.pgdata], { limitMs });
      await client.query(end);
    });
  };
  return {
    name: `rsync${flags}`,
    label: `one rsync ${flags}, then sync`,
    isAside,
    clear: clearCopy,
    first: run,
    again: run,
  };
}

const peer = pgBackRest('sync');

const backupFlags = ['--start-fast', '--no-archive-check'];

const pgBackRestBackup: BackupTool = {
  name: 'pgbackrest',
  label: 'pgBackRest backup, 2 processes, zstd; again: incr',
  isAside: true,
  ...(peer.needs === undefined ? {} : { needs: peer.needs }),
  ...(peer.prepare === undefined ? {} : { prepare: peer.prepare }),
  // Its knowledge of the cluster stays; it drops its knowledge of removed backups by itself.
  clear: ({ standby }) => {
    const backups = join(repositoryOf(standby), 'backup', 'bench');
    for (const entry of readdirSync(backups, { withFileTypes: true })) {
      if (!entry.isFile()) rmSync(join(backups, entry.name), { recursive: true, force: true });
    }
  },
  first: (site) => runPgBackRest(site.standby, ['backup', '--type=full', ...backupFlags]),
  again: (site) => runPgBackRest(site.standby, ['backup', '--type=incr', ...backupFlags]),
};

export const baseBackupTools: readonly BackupTool[] = [
  ours(1),
  ours(2),
  ours(2, forFastLinks),
  ours(4),
  { name: 'pg_basebackup', label: 'pg_basebackup, not encrypted', ...pgBaseBackupBy('disable') },
  {
    name: 'pg_basebackup-tls',
    label: 'pg_basebackup over TLS',
    needs: '/usr/bin/openssl',
    prepare: prepareTls,
    ...pgBaseBackupBy('require'),
  },
  {
    name: 'pg_basebackup-zstd',
    label: 'pg_basebackup over TLS, server-zstd',
    needs: '/usr/bin/openssl',
    prepare: prepareTls,
    // From PostgreSQL 15 on.
    ...pgBaseBackupBy('require', '--compress=server-zstd:level=1'),
  },
  rsync('-a', true),
  rsync('-az', false),
  pgBackRestBackup,
];

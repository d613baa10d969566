import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Host, writeScript } from '../../../test/harness/host.ts';
import { mustRun } from '../../../test/harness/processes.ts';
import type { Standby } from '../../../test/harness/standby.ts';
import { type Ground, repositoryOf, type Site } from './site.ts';
import { sshScript } from './ssh-script.ts';
import type { Tool } from './tools.ts';

const program = '/usr/bin/pgbackrest';
const stanza = 'bench';

/** pgBackRest with its repository on the standby, compressed by zstd; asynchronously with two processes. */
export function pgBackRest(mode: 'sync' | 'async'): Tool {
  return {
    name: mode === 'sync' ? 'pgbackrest' : 'pgbackrest-async',
    label: mode === 'sync' ? 'pgBackRest, zstd' : 'pgBackRest async, 2 processes, zstd',
    needs: program,
    prepare: createStanza,
    archiveCommand: (site) => pushCommand(site, mode),
    isDelivered: (site, segments) => {
      const [standby] = site.standbys;
      return standby !== undefined && isInRepository(repositoryOf(standby), segments);
    },
  };
}

export function pushCommand({ primary }: Pick<Site, 'primary'>, mode: 'sync' | 'async'): string {
  const how = mode === 'sync' ? '--no-archive-async' : '--archive-async';
  return `${program} --config=${configOf(primary.host)} --stanza=${stanza} ${how} archive-push %p`;
}

function configOf(host: Host): string {
  return join(host.directory, 'pgbackrest.conf');
}

async function createStanza(ground: Ground): Promise<void> {
  const { primary, standbys } = ground;
  const [standby] = standbys;
  // Both modes share this.
  if (standby === undefined || existsSync(configOf(standby.host))) return;
  mkdirSync(repositoryOf(standby), { recursive: true });
  const common = (host: Host): string[] => [
    '[global]',
    `cmd-ssh=${sshScript(host)}`,
    `log-path=${host.directory}`,
    'log-level-file=off',
    `lock-path=${join(host.directory, 'run', 'pgbackrest')}`,
    `spool-path=${join(primary.lArchiveDir, 'pgbackrest')}`,
    'process-max=2',
    'compress-type=zst',
  ];
  const place = [
    `[${stanza}]`,
    `pg1-path=${primary.pgdata}`,
    `pg1-port=${String(primary.port)}`,
    `pg1-socket-path=${primary.socketDirectory}`,
  ];
  const there = (word: string, host: Host): string[] => [
    `${word}-host=${host.name}`,
    `${word}-host-user=${primary.user}`,
    `${word}-host-config=${configOf(host)}`,
  ];
  write(primary.host, [...common(primary.host), ...there('repo1', standby.host), ...place]);
  write(standby.host, [
    ...common(standby.host),
    `repo1-path=${repositoryOf(standby)}`,
    ...place,
    ...there('pg1', primary.host),
    `pg1-user=${primary.user}`,
    'pg1-database=postgres',
  ]);
  // Without the host's environment variables that pgBackRest would take for options.
  await runPgBackRest(standby, ['stanza-create']);
}

/** Runs a pgBackRest command on the repository's host. */
export async function runPgBackRest({ host }: Pick<Standby, 'host'>, args: readonly string[]): Promise<void> {
  const script = `exec ${program} --config=${configOf(host)} --stanza=${stanza} "$@"`;
  await mustRun(writeScript(host, 'bench-pgbackrest', script), args, { env: host.env, limitMs: 1_800_000 });
}

function write(host: Host, lines: readonly string[]): void {
  writeFileSync(configOf(host), `${lines.join('\n')}\n`);
}

/** A completed file is named SEGMENT-DIGEST.zst; an incomplete one has another ending. */
function isInRepository(repository: string, segments: readonly string[]): boolean {
  const archive = join(repository, 'archive', stanza);
  if (!existsSync(archive)) return false;
  const stored = new Set(
    readdirSync(archive, { recursive: true, encoding: 'utf8' }).flatMap(
      (path) => /\/([0-9A-F]{24})-[0-9a-f]{40}\.zst$/.exec(path)?.[1] ?? [],
    ),
  );
  return segments.every((name) => stored.has(name));
}

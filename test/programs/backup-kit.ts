import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  writeSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { capabilitiesOf } from '../../src/postgres/capabilities.ts';
import { parseVersion } from '../../src/postgres/version.ts';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import type { IniKeys } from '../harness/ini.ts';
import { serverProgram } from '../harness/postgres-programs.ts';
import type { Primary, PrimaryOptions } from '../harness/primary.ts';
import { run } from '../harness/processes.ts';
import type { ServerSettings } from '../harness/server.ts';
import type { Standby } from '../harness/standby.ts';
import type { World } from '../harness/world.ts';

/** A primary with the helper functions, and the place of a standby that nobody has touched yet. */
export interface BackupPair {
  readonly primary: Primary;
  readonly standby: Standby;
}

export interface BackupPairOptions {
  readonly ini?: IniKeys;
  readonly primarySettings?: ServerSettings;
  readonly standbySettings?: ServerSettings;
  readonly cluster?: Pick<PrimaryOptions, 'walSegmentMb' | 'checksums' | 'groupAccess' | 'slaves'>;
  /** The standby's data directory. */
  readonly pgdata?: string;
  /** `none` leaves the helper functions out. */
  readonly helpers?: 'none';
}

export async function installHelpers(primary: Primary): Promise<void> {
  const { helperSqlFile } = capabilitiesOf(parseVersion(String(primary.major)));
  await primary.psqlFile(checkout('scripts', helperSqlFile));
}

/** The whole of the how-to's set-up of both hosts, up to the standby's `-I`: cmd_archiver ships. */
export async function backupPair(world: World, options: BackupPairOptions = {}): Promise<BackupPair> {
  const primary = await world.startPrimary({
    slaves: ['standby1'],
    ...options.cluster,
    ...(options.primarySettings === undefined ? {} : { settings: options.primarySettings }),
  });
  const standby = await world.addStandby('standby1', primary, {
    ini: { wal_timeout: 20, start_timeout: 30, failover_probe_timeout: 2, ...options.ini },
    ...(options.pgdata === undefined ? {} : { pgdata: options.pgdata }),
    ...(options.standbySettings === undefined ? {} : { settings: options.standbySettings }),
  });
  const init = await world.cmdArchiver(primary, ['-I']);
  if (init.code !== 0) throw new Error(init.stdout + init.stderr);
  if (options.helpers !== 'none') await installHelpers(primary);
  return { primary, standby };
}

export function inPgdata(standby: Standby, ...path: string[]): string {
  return join(standby.pgdata, ...path);
}

/** Waits until nothing of the primary is on its way to the standby any more: what -B has no use for may still be. */
export async function allShipped(primary: Primary): Promise<void> {
  await eventually(
    () =>
      primary.queue('standby1').length === 0 &&
      !primary.archiveStatus().some((name) => name.endsWith('.ready')),
    { what: 'all WAL shipped' },
  );
}

/** Every file below a directory with its bytes' digest: what must be the same before and after. Times of directories are not. */
export function snapshot(directory: string): Record<string, string> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return Object.fromEntries(
    entries
      .map((entry) => join(entry.parentPath, entry.name))
      // The lock's file stays, empty, from one run to the next.
      .filter((path) => !path.endsWith('/.cmd_standby.lock'))
      // The primary's shipper makes a place of its own there with each connection.
      .filter((path) => !path.includes('/.incoming'))
      .sort()
      .map((path) => [relative(directory, path), contentOf(path)]),
  );
}

function contentOf(path: string): string {
  const found = lstatSync(path);
  if (found.isSymbolicLink()) return `link to ${readlinkSync(path)}`;
  if (!found.isFile()) return 'directory';
  return `${found.mtimeMs} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`;
}

/** Whether the copy of a new file of this name in the primary's pgdata has begun. */
export function isCopying(standby: Standby, name = 'aaa-bulk'): boolean {
  return existsSync(join(standby.pgdata, name));
}

export const blockSize = 8192;

/** Damages a page of a relation's file; done again, it heals it. */
export function flipBit(file: string, block: number, byte = 5000): void {
  const fd = openSync(file, 'r+');
  const place = block * blockSize + byte;
  const content = Buffer.alloc(1);
  readSync(fd, content, 0, 1, place);
  writeSync(fd, Buffer.from([(content[0] ?? 0) ^ 0x08]), 0, 1, place);
  closeSync(fd);
}

/** What the server itself says when it is started on pgdata as it is; it must not come up. */
export async function startDirectly(standby: Standby): Promise<string> {
  const configuration = join(standby.host.directory, 'etc', 'pg_conf', 'postgresql.conf');
  const { code, stdout, stderr } = await run(
    serverProgram(standby.major, 'postgres'),
    ['-D', standby.pgdata, '-c', `config_file=${configuration}`],
    { env: standby.env, limitMs: 120_000 },
  );
  if (code === 0 || code === null) throw new Error(`a server started on ${standby.pgdata}`);
  return stdout + stderr;
}

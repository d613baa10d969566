import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import type { Host } from '../harness/host.ts';
import { writeIni } from '../harness/ini.ts';
import { type Finished, run } from '../harness/processes.ts';
import type { World } from '../harness/world.ts';
import { controlFile, someIdentifier } from '../unit/postgres/fixtures/build.ts';
import { type FakeCluster, prepareArchive, readyCluster, sentinelText } from './archiver-cluster.ts';

/** With segments of 1 MB: in the third one. */
export const fork = '0/300060';
export const mark = `1 ${fork} beta`;

/** What `cmd_standby -I` leaves on a standby, with the way to call it there. */
export function prepareStandby(
  standby: Host,
  { systemIdentifier }: Pick<FakeCluster, 'systemIdentifier'>,
): void {
  const pgdata = join(standby.directory, 'pgdata');
  const iniFile = join(standby.directory, 'cmd_standby.ini');
  writeIni(iniFile, { keys: { master_public_ip: 'primary', pgdata, archivedir: standby.archiveDir } });
  prepareArchive(standby, systemIdentifier);
  writeFileSync(
    join(standby.archiveDir, '.pitrtools'),
    `${sentinelText(systemIdentifier, standby.name)}program: ${checkout('bin', 'cmd_standby')}\nini: ${iniFile}\n`,
  );
}

export async function clusterOf(world: World, slaves: readonly string[]): Promise<FakeCluster> {
  const cluster = await readyCluster(world, { slaves, systemIdentifier: someIdentifier });
  for (const standby of cluster.standbys) prepareStandby(standby, cluster);
  return cluster;
}

function serve(standby: Host, verb: string): Promise<Finished> {
  const iniFile = join(standby.directory, 'cmd_standby.ini');
  return run(checkout('bin', 'cmd_standby'), ['-C', iniFile, '--serve', verb], { env: standby.env });
}

/** What the new primary's -F999 tells a standby that it reaches. */
export async function inform({ systemIdentifier }: FakeCluster, standby: Host): Promise<void> {
  const answer = await serve(standby, `mark-left ${mark} ${systemIdentifier.toString()}`);
  expect(answer.code).toBe(0);
}

/** A server on timeline 1, by its last checkpoint. */
function oldControl(): Uint8Array {
  const fields = { controlVersion: 1300, catalogVersion: 202_209_061, state: 6, redo: 0x100028n } as const;
  return controlFile({ ...fields, timeline: 1, checksum: 'crc32c' });
}

/** From now on the timeline of this server can be determined. */
export function makeReadable({ pgdata }: FakeCluster, control = oldControl()): void {
  writeFileSync(join(pgdata, 'global', 'pg_control'), control);
  writeFileSync(join(pgdata, 'PG_VERSION'), '15\n');
}

/** What the promotion of this server leaves. There was no checkpoint since. */
export function promote(cluster: FakeCluster, { at = fork, control = oldControl() } = {}): void {
  makeReadable(cluster, control);
  cluster.addFile('00000002.history', `1\t${at}\tno recovery target specified\n`);
  cluster.addSegment(cluster.segment(3, 2));
}

/** The server is on timeline 1 again, as after a new copy of the old primary. */
export function goBack({ pgdata }: FakeCluster): void {
  const directory = join(pgdata, 'pg_wal');
  for (const name of readdirSync(directory)) if (name.startsWith('00000002')) rmSync(join(directory, name));
}

/** What -F999 leaves in l_archivedir of the host that it promotes. */
export function declare({ lArchiveDir }: FakeCluster, text = mark): void {
  writeFileSync(join(lArchiveDir, '.archiver', 'left_timelines'), `${text}\n`, { mode: 0o600 });
}

export function sentinelOf(standby: Host): string {
  return readFileSync(join(standby.archiveDir, '.pitrtools'), 'utf8');
}

export function only({ standbys }: FakeCluster): Host {
  const [standby] = standbys;
  if (standby === undefined) throw new Error('no standby');
  return standby;
}

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import type { Host } from '../harness/host.ts';
import type { Primary } from '../harness/primary.ts';
import { processesOf } from '../harness/process-table.ts';
import { run, type Running, start } from '../harness/processes.ts';
import type { World } from '../harness/world.ts';
import type { FakeCluster } from './archiver-cluster.ts';

function statusFile(cluster: FakeCluster, name: string, suffix: string): string {
  return join(cluster.pgdata, 'pg_wal', 'archive_status', `${name}${suffix}`);
}

/** From now on the cluster's server seems to run: its postmaster.pid names a process that works in pgdata. */
export function pretendRunning(world: World, cluster: FakeCluster): void {
  const postmaster = start('/usr/bin/sleep', ['600'], { cwd: cluster.pgdata, limitMs: 600_000 });
  world.onClose(async () => {
    postmaster.killFamily();
    await postmaster.finished;
  });
  const lines = [postmaster.pid, cluster.pgdata, 0, 5432, cluster.host.directory, '', ''];
  writeFileSync(join(cluster.pgdata, 'postmaster.pid'), lines.join('\n'));
}

/** What PostgreSQL does when a segment is full. */
export function makeReady(cluster: FakeCluster, name: string): void {
  writeFileSync(statusFile(cluster, name, '.ready'), '');
}

/** What PostgreSQL does when archive_command has exited 0. */
export function makeDone(cluster: FakeCluster, name: string): void {
  renameSync(statusFile(cluster, name, '.ready'), statusFile(cluster, name, '.done'));
}

/** Adds full, ready segments and returns their bytes by name. */
export function addReadySegments(cluster: FakeCluster, from: number, count: number): Map<string, Buffer> {
  const segments = new Map<string, Buffer>();
  for (let number = from; number < from + count; number++) {
    const name = cluster.segment(number);
    segments.set(name, cluster.addSegment(name, { seed: number }));
    makeReady(cluster, name);
  }
  return segments;
}

export function privatePath(cluster: FakeCluster, ...parts: string[]): string {
  return join(cluster.lArchiveDir, '.archiver', ...parts);
}

/** Names of the segments that are marked. */
export function marked(cluster: FakeCluster): string[] {
  const directory = privatePath(cluster, 'marks', String(cluster.systemIdentifier));
  if (!existsSync(directory)) return [];
  return readdirSync(directory).filter((name) => !name.startsWith('.'));
}

export async function startShipper(cluster: FakeCluster): Promise<Running> {
  const running = cluster.start(['--ship'], { limitMs: 300_000 });
  await eventually(
    () => /shipping from/.test(running.output()) || existsSync(privatePath(cluster, 'stamp')),
    {
      what: 'a shipper',
    },
  );
  return running;
}

export async function untilMarked(
  cluster: FakeCluster,
  names: Iterable<string>,
  limitMs = 120_000,
): Promise<void> {
  const wanted = [...names];
  await eventually(() => wanted.every((name) => marked(cluster).includes(name)), {
    limitMs,
    what: `markers of ${wanted.join(', ')}`,
  });
}

/** The launcher with a Node that cannot answer: only a marker makes it exit 0. */
export async function isProvenByShell(
  cluster: FakeCluster,
  name: string,
  shell = '/bin/sh',
  args = ['-C', cluster.iniFile, '-F', `pg_wal/${name}`],
): Promise<boolean> {
  // A line for PostgreSQL's log would be left to Node as well.
  rmSync(privatePath(cluster, 'news'), { force: true });
  const result = await run(shell, [checkout('bin', 'cmd_archiver'), ...args], {
    cwd: cluster.pgdata,
    env: { ...cluster.host.env, PITRTOOLS_NODE: '/bin/false' },
  });
  return result.code === 0;
}

/** Pids of the shippers that work on this host. */
export function shipperPids(host: Host): number[] {
  return processesOf(host.directory)
    .filter(({ commandLine }) => /cmd-archiver\.js .*--ship/.test(commandLine))
    .map(({ pid }) => pid);
}

export async function systemIdentifierOf(primary: Primary): Promise<bigint> {
  const control = await readFile(join(primary.pgdata, 'global', 'pg_control'));
  return control.readBigUInt64LE();
}

/**
 * Says `state: offline` and waits until the shipper, if there is one, has seen it. archive_command says no from the very
 * next call on; what the shipper has in hand at that moment may still be delivered.
 */
export async function goOffline(primary: Primary): Promise<void> {
  primary.writeIni({ state: 'offline' });
  const stamp = join(primary.lArchiveDir, '.archiver', 'stamp');
  await eventually(() => !existsSync(stamp), { what: 'the shipper offline' });
}

export async function endShipper(shipper: Running): Promise<void> {
  shipper.signal('SIGTERM');
  expect(await shipper.finished).toMatchObject({ code: 0 });
}

/** From now on the standby's programs are found here: those of the system but `without`, and ours in place of some. */
export async function usePrograms(
  world: World,
  standby: Host,
  without: readonly string[],
  scripts: Readonly<Record<string, string>> = {},
): Promise<void> {
  const directory = join(standby.directory, 'programs');
  mkdirSync(directory);
  for (const name of readdirSync('/usr/bin'))
    if (!without.includes(name) && !(name in scripts))
      symlinkSync(join('/usr/bin', name), join(directory, name));
  for (const [name, script] of Object.entries(scripts))
    writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`, { mode: 0o700 });
  await standby.sshd.reconfigure([`SetEnv PITRTOOLS_TEST_WORLD=${world.directory} PATH=${directory}`]);
}

/** What lies in the directories for incoming files of a standby. */
export const inboxes = (standby: Host): string[] =>
  readdirSync(join(standby.archiveDir, '.incoming'), { recursive: true }).map(String);

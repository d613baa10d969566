import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import type { Host } from '../harness/host.ts';
import { testMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { familyOf, type ProcessEntry, processesOf } from '../harness/process-table.ts';
import { sendSignal } from '../harness/processes.ts';
import { createRandom, testSeed } from '../harness/random.ts';
import { test } from '../harness/test.ts';
import { archivedFiles, prepareArchive } from './archiver-cluster.ts';
import { systemIdentifierOf } from './shipper-kit.ts';

test.override({ major: testMajors().at(-1) ?? 15 });

const seed = testSeed();
const isLong = process.env['PITRTOOLS_TEST_LONG'] === '1';
const rounds = Number(process.env['PITRTOOLS_TEST_ROUNDS'] ?? (isLong ? 200 : 12));

type Victim = 'shipper' | 'ssh' | 'rsync' | 'sshd' | 'postgres';
const victims: readonly Victim[] = ['shipper', 'ssh', 'rsync', 'sshd', 'postgres'];

const patterns: Readonly<Record<Exclude<Victim, 'sshd' | 'postgres'>, RegExp>> = {
  shipper: /cmd-archiver\.js .*--ship/,
  ssh: /ControlMaster=yes/,
  rsync: /rsync .*--files-from/,
};

function matching(host: Host, pattern: RegExp): ProcessEntry[] {
  return processesOf(host.directory).filter(({ commandLine }) => pattern.test(commandLine));
}

/** Keeps each file as PostgreSQL had it when it asked for it first, and calls cmd_archiver then. */
function witness(primaryDirectory: string): string {
  const store = join(primaryDirectory, 'witness');
  mkdirSync(store, { recursive: true });
  const ini = join(primaryDirectory, 'etc', 'cmd_archiver.ini');
  const keep = `test -e ${store}/%f || { cp %p ${store}/.%f.$$ && mv ${store}/.%f.$$ ${store}/%f; }`;
  return `${keep}; exec ${checkout('bin', 'cmd_archiver')} -C ${ini} -F %p`;
}

/** The first of the places that can be read: a file may move from the queue to the archive, or be recycled, meanwhile. */
function readFirst(places: readonly string[]): Buffer | undefined {
  for (const place of [...places, ...places]) {
    try {
      return readFileSync(place);
    } catch {
      // The next place.
    }
  }
  return undefined;
}

/** A file that a marker or an exit 0 stood for must be at, or queued for, every standby, with the primary's bytes. */
function expectSafe(primary: Primary, standbys: readonly Host[], name: string): void {
  const truth = readFirst([join(primary.host.directory, 'witness', name)]);
  const copies = standbys.map((standby) =>
    readFirst([join(primary.lArchiveDir, standby.name, name), join(standby.archiveDir, name)]),
  );
  for (const [index, copy] of copies.entries()) {
    expect(copy, `${name} for ${standbys[index]?.name ?? ''}`).toBeDefined();
    const other = truth ?? copies[0];
    expect(other !== undefined && copy?.equals(other), `${name} has the primary's bytes`).toBe(true);
  }
}

function doneNames(primary: Primary): string[] {
  return primary
    .archiveStatus()
    .filter((entry) => entry.endsWith('.done'))
    .map((entry) => entry.slice(0, -'.done'.length));
}

function markedNames(primary: Primary): string[] {
  const current = join(primary.lArchiveDir, '.archiver', 'current');
  if (!existsSync(current)) return [];
  return readdirSync(current).filter((name) => !name.startsWith('.'));
}

/** A strike that finds nobody is none: one that has just gone, or was just killed, comes again. */
function presentOf(primary: Primary, victim: Exclude<Victim, 'sshd'>): Promise<ProcessEntry[]> {
  const look = (): ProcessEntry[] | undefined => {
    const found =
      victim === 'postgres' ? familyOf(primary.postmaster() ?? 0) : matching(primary.host, patterns[victim]);
    return found.length > 0 ? found : undefined;
  };
  return eventually(look, { limitMs: 120_000, everyMs: 3, what: `a ${victim} to strike` });
}

async function strike(
  primary: Primary,
  standbys: readonly Host[],
  victim: Victim,
  isStop: boolean,
  random: () => number,
): Promise<void> {
  const pauseMs = random() * 1_500;
  if (victim === 'sshd') {
    const standby = standbys[Math.floor(random() * standbys.length)];
    if (standby === undefined) return;
    if (isStop) standby.sshd.freeze();
    else await standby.sshd.kill();
    await delay(pauseMs);
    if (isStop) standby.sshd.thaw();
    else await standby.sshd.start();
    return;
  }
  if (victim === 'postgres' && !isStop) {
    await primary.kill9();
    await primary.start();
    return;
  }
  const found = await presentOf(primary, victim);
  for (const { pid } of found) sendSignal(pid, isStop ? 'SIGSTOP' : 'SIGKILL');
  if (!isStop) return;
  await delay(pauseMs);
  for (const { pid } of found) sendSignal(pid, 'SIGCONT');
}

async function makeWal(primary: Primary, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    try {
      await primary.sql('INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 3000) AS n');
      await primary.switchWal();
    } catch {
      // The server is being killed: it comes back.
      await delay(50);
    }
  }
}

test(
  `no WAL is lost by ${String(rounds)} kills at random moments, and no marker is ever wrong (seed ${String(seed)})`,
  { timeout: isLong ? 3_600_000 : 240_000 },
  async ({ world }) => {
    const random = createRandom(seed);
    const slaves = ['s1', 's2'];
    const host = await world.host('primary');
    const primary = await world.startPrimary({
      slaves,
      walSegmentMb: 1,
      settings: {
        archive_command: witness(host.directory),
        // Segments are recycled all the time.
        max_wal_size: '16MB',
        min_wal_size: '2MB',
      },
      ini: { ssh_timeout: 2, debug: 'off' },
    });
    const standbys: Host[] = [];
    for (const name of slaves) {
      const host = await world.host(name);
      prepareArchive(host, await systemIdentifierOf(primary));
      standbys.push(host);
    }
    expect(await world.cmdArchiver(primary, ['-I'])).toMatchObject({ code: 0 });
    await primary.sql('CREATE TABLE t (n int, x text)');
    const end = new AbortController();
    const writer = makeWal(primary, end.signal);
    const checked = new Set<string>();
    const strikes: Record<string, number> = {};
    for (let round = 0; round < rounds; round++) {
      await delay(random() * 800);
      const victim = victims[Math.floor(random() * victims.length)] ?? 'shipper';
      const isStop = random() < 0.4;
      await strike(primary, standbys, victim, isStop, random);
      const kind = `${victim} ${isStop ? 'stopped' : 'killed'}`;
      strikes[kind] = (strikes[kind] ?? 0) + 1;
      for (const name of [...doneNames(primary), ...markedNames(primary)]) {
        if (checked.has(name)) continue;
        expectSafe(primary, standbys, name);
        checked.add(name);
      }
    }
    end.abort();
    await writer;
    const last = await primary.switchWal();
    await primary.archived(last, 120_000);
    const wanted = [...new Set([...checked, ...doneNames(primary)])];
    for (const standby of standbys) {
      await eventually(() => wanted.every((name) => archivedFiles(standby).includes(name)), {
        limitMs: 120_000,
        what: `all of ${String(wanted.length)} files at ${standby.name}`,
      });
    }
    for (const name of wanted) expectSafe(primary, standbys, name);
    expect(wanted.length).toBeGreaterThan(rounds);
    console.log(`${String(wanted.length)} files, strikes: ${JSON.stringify(strikes)}`);
  },
);

import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Ajv } from 'ajv';
import { describe, expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { failureMajors, testMajors } from '../harness/postgres-programs.ts';
import { sendSignal } from '../harness/processes.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { archiveRows, countRows, expectExit, makePair, type Pair } from './standby-kit.ts';
import { roomyDisks } from './status-kit.ts';

const newest = failureMajors().at(-1) ?? 15;

test.override({ major: newest });

const ini = { debug: 'off', ...roomyDisks };

const fitsSchema = new Ajv().compile(
  JSON.parse(readFileSync(checkout('doc', 'status.schema.json'), 'utf8')) as object,
);

interface Seen<T> {
  readonly value: T;
  readonly unknown?: string;
}

interface Status {
  readonly level: string;
  readonly findings: readonly {
    readonly name: string;
    readonly about?: string;
    readonly level: string;
    readonly message: string;
    readonly hint?: string;
  }[];
  readonly facts: {
    readonly mode: Seen<string>;
    readonly receiver: Seen<{ status: string } | null>;
    readonly archiveLag: Seen<{ bytes: number; seconds: number }>;
    readonly delayS: Seen<number>;
    readonly primary: Seen<{ found: string; written?: string }>;
    readonly failover: Seen<{ isPossible: boolean; objections: { name?: string }[] }>;
    readonly loss: Seen<{ bytes: number; seconds?: number; isAtMost: boolean; knownAgeS: number }>;
  };
}

async function statusOf(world: World, standby: Standby, ...more: string[]): Promise<Status> {
  const run = await world.cmdStandby(standby, ['--status', '--json', ...more]);
  expectExit(run, 0);
  expect(run.stderr).toBe('');
  const status: unknown = JSON.parse(run.stdout);
  if (!fitsSchema(status)) throw new Error(JSON.stringify(fitsSchema.errors));
  return status as Status;
}

const named = ({ findings }: Status) =>
  findings.map(({ name, about = '', level }) => `${name} ${about} ${level}`.replace('  ', ' '));

const mostTries = 20;

/** A busy machine may take longer than a view has. */
async function finds(
  world: World,
  standby: Standby,
  names: readonly string[],
  ...more: string[]
): Promise<Status> {
  let status = await statusOf(world, standby, ...more);
  for (let tries = 1; tries < mostTries && !isDeepStrictEqual(named(status), names); tries += 1)
    status = await statusOf(world, standby, ...more);
  expect(named(status)).toEqual(names);
  return status;
}

async function shows(
  world: World,
  standby: Standby,
  args: readonly string[],
  pattern: RegExp,
): Promise<void> {
  let text = '';
  for (let tries = 0; tries < mostTries && !pattern.test(text); tries += 1)
    text = (await world.cmdStandby(standby, ['--status', ...args])).stdout;
  expect(text).toMatch(pattern);
}

/** The WAL that waits for a delay is no finding; that nobody has asked for the delay is one. */
async function isDelayed(world: World, { primary, standby }: Pair): Promise<void> {
  await standby.sql("ALTER SYSTEM SET recovery_min_apply_delay = '1h'");
  await standby.sql('SELECT pg_reload_conf()');
  await primary.sql('INSERT INTO rows VALUES (121)');
  const delayed = await statusOf(world, standby, '--warning', '1B,0');
  expect(delayed.facts.delayS.value).toBe(3600);
  expect(named(delayed).filter((name) => name.startsWith('replay'))).toEqual([]);
  expect(named(delayed)).toContain('delayed warning');
  await standby.sql('ALTER SYSTEM RESET recovery_min_apply_delay');
  await standby.sql('SELECT pg_reload_conf()');
  await eventually(async () => (await countRows(standby)) === 121, { what: 'the end of the delay' });
}

/** The oldest has its recovery settings in recovery.conf. */
const majors = new Set([testMajors()[0] ?? newest, newest]);

describe.each([...majors])('--status on PostgreSQL %i', (major) => {
  test.override({ major });

  test('finds nothing on a healthy standby, and each trouble', async ({ world }) => {
    const pair = await makePair(world, { ini: { ...ini, use_streaming_replication: 'on' } });
    const { primary, standby } = pair;
    const cold = await finds(world, standby, []);
    expect(cold.facts.mode.value).toBe('cold');

    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await archiveRows(pair, 100);
    await eventually(async () => (await countRows(standby)) === 100, { what: 'the rows' });
    const well = await finds(world, standby, []);
    const { mode, receiver, failover, loss, primary: seen } = well.facts;
    expect(mode.value).toBe('hot standby');
    expect(receiver.value?.status).toBe('streaming');
    expect(failover.value).toMatchObject({ isPossible: true, objections: [{ name: 'primary-alive' }] });
    expect(seen.value.written).toMatch(/^0\//);
    expect(loss.value).toMatchObject({ isAtMost: true, knownAgeS: 0 });
    expect(loss.value.bytes).toBeLessThan(16 * 1024 * 1024);
    await shows(world, standby, [], /: all is well\n\nThis host:\n {2}server +hot standby, PostgreSQL /);
    await shows(world, standby, [], /\n {2}possible +yes, once the primary is stopped\n/);
    const line = /^cmd_standby OK - .*: nothing to report \| .*'failover_possible'=1/;
    await shows(world, standby, ['--nagios'], line);
    const metrics = await world.cmdStandby(standby, ['--status', '--prometheus']);
    expect(metrics.stdout).toContain('pitrtools_mode{program="cmd_standby",mode="hot standby"} 1\n');

    await standby.sql('SELECT pg_wal_replay_pause()');
    await eventually(async () => named(await statusOf(world, standby)).includes('paused warning'), {
      what: 'a paused replay',
    });
    // The first segment has waited longest, whatever arrives after it.
    await archiveRows(pair, 110);
    const arrivedMs = Date.now();
    await archiveRows(pair, 120);
    const atLeastS = (Date.now() - arrivedMs) / 1000;
    const { archiveLag } = (await statusOf(world, standby)).facts;
    expect(archiveLag.value.bytes).toBeGreaterThan(16 * 1024 * 1024);
    expect(archiveLag.value.seconds).toBeGreaterThan(atLeastS);
    await standby.sql('SELECT pg_wal_replay_resume()');

    // Up to 11 it is no setting of the server.
    if (primary.major >= 12) await isDelayed(world, pair);

    // As if its file system were not mounted.
    renameSync(standby.archiveDir, `${standby.archiveDir}.away`);
    mkdirSync(standby.archiveDir);
    await finds(world, standby, ['archive critical', 'failover archive critical']);
    const refused = await world.cmdStandby(standby, ['-F999', '--dry-run', '--force=primary-alive']);
    expectExit(refused, 4);
    expect(readdirSync(standby.archiveDir)).toEqual([]);
    rmdirSync(standby.archiveDir);
    renameSync(`${standby.archiveDir}.away`, standby.archiveDir);
    await finds(world, standby, []);

    // A segment is lost while the server here is stopped.
    expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
    const lost = await archiveRows(pair, 200);
    await archiveRows(pair, 300);
    const place = join(standby.archiveDir, lost);
    renameSync(place, `${place}.away`);
    const gap = await finds(world, standby, ['server critical', 'gap critical', 'failover replay critical']);
    for (const { hint } of gap.findings) expect(hint).toBeDefined();
    expect(gap.facts.failover.value.isPossible).toBe(false);
    expectExit(await world.cmdStandby(standby, ['-F999', '--dry-run', '--force=primary-alive']), 4);
    renameSync(`${place}.away`, place);

    await primary.kill9();
    const dead = await finds(world, standby, ['server critical', 'primary critical']);
    expect(dead.facts.failover.value).toEqual({
      ...dead.facts.failover.value,
      isPossible: true,
      objections: [],
    });
    expect(dead.facts.loss.value.isAtMost).toBe(false);
    expect(dead.facts.loss.value.knownAgeS).toBeGreaterThan(0);
    expectExit(await world.cmdStandby(standby, ['-F999', '--dry-run']), 0);
  });
});

test('--status shows the rest where every other host is silent', async ({ world }) => {
  const { primary, standby } = await makePair(world, { ini });
  expectExit(await world.cmdStandby(standby, ['-S']), 0);
  const archiver = await world.asPrimary(standby, ['other', 'another']);
  // Its port takes connections, and nobody answers there.
  const postmaster = primary.postmaster() ?? 0;
  sendSignal(postmaster, 'SIGSTOP');
  world.onClose(() => {
    sendSignal(postmaster, 'SIGCONT');
  });
  const hangs = writeScript(standby.host, 'ssh', 'exec sleep 300');
  archiver.writeIni({ ssh: hangs });
  standby.writeIni({ ssh: hangs });
  // A view that waited for any of them would not end before the limit of the call, which is 120 seconds.
  const status = await statusOf(world, standby);
  expect(status.facts.mode.value).toBe('hot standby');
  expect(status.facts.loss.unknown).toMatch(/how far the primary has written is not known/);
  expect(named(status).filter((name) => name.startsWith('standby'))).toEqual([
    'standby other unknown',
    'standby another unknown',
  ]);
});

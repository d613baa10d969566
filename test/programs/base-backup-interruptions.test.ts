import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { readRecord } from '../../src/standby/host/backup-record/record.ts';
import { eventually } from '../harness/eventually.ts';
import { outerMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { familyOf } from '../harness/process-table.ts';
import { killAll, type Running } from '../harness/processes.ts';
import { createRandom, testSeed } from '../harness/random.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import { backupPair, inPgdata, startDirectly } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

const isLong = process.env['PITRTOOLS_TEST_LONG'] !== undefined;
const strikes = Number(process.env['PITRTOOLS_TEST_STRIKES'] ?? (isLong ? 100 : 6));
const bulkBytes = 6 * 1024 * 1024;

const victims = ['SIGINT', 'SIGTERM', 'SIGKILL', 'rsync', 'ssh', 'sshd', 'server'] as const;
type Victim = (typeof victims)[number];

/** A moment of the run: once it has said this, or once so much of the bulk has arrived. */
type Moment =
  { readonly kind: 'said'; readonly text: string } | { readonly kind: 'arrived'; readonly bytes: number };

const steps = ['begin a backup', 'list the files to copy', 'make it impossible', 'remove entries', 'copy "'];

function chooseMoment(random: () => number): Moment {
  const text = steps[Math.floor(random() * steps.length * 2)];
  return text === undefined
    ? { kind: 'arrived', bytes: Math.floor(random() * bulkBytes) }
    : { kind: 'said', text };
}

async function reach(moment: Moment, running: Running, standby: Standby): Promise<void> {
  let isOver = false;
  void running.finished.then(() => (isOver = true));
  const bulk = inPgdata(standby, 'aaa-bulk');
  const isReached = (): boolean => {
    if (isOver) return true;
    if (moment.kind === 'said') return running.output().includes(`DEBUG: ${moment.text}`);
    return (
      existsSync(bulk) &&
      running.output().includes('DEBUG: copy "') &&
      statSync(bulk).blocks * 512 >= moment.bytes
    );
  };
  await eventually(isReached, { limitMs: 120_000, everyMs: 10, what: JSON.stringify(moment) });
}

const commandOf = { rsync: /\brsync\b/, ssh: /^\S*ssh / } as const;

async function strike(victim: Victim, running: Running, primary: Primary): Promise<void> {
  switch (victim) {
    case 'SIGINT':
    case 'SIGTERM':
    case 'SIGKILL':
      running.signal(victim);
      return;
    case 'rsync':
    case 'ssh': {
      const own = familyOf(running.pid).slice(1);
      const found = own.filter(({ commandLine }) => commandOf[victim].test(commandLine));
      killAll(found);
      return;
    }
    case 'sshd':
      await primary.host.sshd.kill();
      await running.finished;
      await primary.host.sshd.start();
      return;
    case 'server':
      await primary.kill9();
      await running.finished;
      await primary.start();
  }
}

async function expectPrimaryClean(primary: Primary): Promise<void> {
  const question =
    primary.major >= 15
      ? "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pitrtools%'"
      : "SELECT NOT pg_is_in_backup() AND count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pitrtools%'";
  await eventually(async () => (await primary.value(question)) === 'true', {
    limitMs: 120_000,
    what: 'no session and no backup on the primary',
  });
}

function bulkHere(standby: Standby): Buffer | undefined {
  const path = inPgdata(standby, 'aaa-bulk');
  return existsSync(path) ? readFileSync(path) : undefined;
}

/**
 * Either pgdata is as a good backup left it, or no server starts on it. The record says `copying` a moment before pg_control
 * goes, and until a moment after it has come: killed in between, our own programs refuse what is whole.
 */
async function expectNothingHalf(
  standby: Standby,
  whole: readonly (Buffer | undefined)[],
  what: string,
): Promise<boolean> {
  const { backup } = await readRecord(standby.pgdata);
  if (existsSync(inPgdata(standby, 'global', 'pg_control'))) {
    const here = bulkHere(standby);
    const isWhole = whole.some((bulk) => (bulk === undefined ? here === undefined : here?.equals(bulk)));
    expect(isWhole, `${what}: the bulk is one of a whole backup`).toBe(true);
    return false;
  }
  expect(backup?.status, what).toBe('copying');
  expect(await startDirectly(standby)).toMatch(/pg_control/);
  return true;
}

describe.each(outerMajors())('a base backup of PostgreSQL %i that is interrupted', (major) => {
  test.override({ major });

  test(
    `leaves nothing on the primary and nothing startable here at ${strikes} random moments, and the next run copies the rest`,
    { timeout: isLong ? 3_600_000 : 300_000 },
    async ({ world }) => {
      const random = createRandom(testSeed());
      const { primary, standby } = await backupPair(world, { ini: { rsync_threads: 2 } });
      await primary.sql('CREATE TABLE t AS SELECT n, md5(n::text) AS m FROM generate_series(1, 20000) AS n');
      expectExit(await world.cmdStandby(standby, ['-I']), 0);
      expectExit(await world.cmdStandby(standby, ['-B']), 0);
      const bulk = join(primary.pgdata, 'aaa-bulk');
      let unfinished = 0;
      for (let count = 0; count < strikes; count++) {
        const before = bulkHere(standby);
        const now = randomBytes(bulkBytes);
        writeFileSync(bulk, now);
        const victim = victims[Math.floor(random() * victims.length)] ?? 'SIGKILL';
        const moment = chooseMoment(random);
        const what = `strike ${count}: ${victim} at ${JSON.stringify(moment)}`;
        standby.writeIni({ basebackup_bwlimit: 4000 });
        const running = world.startStandby(standby, ['-B']);
        await reach(moment, running, standby);
        await strike(victim, running, primary);
        const struck = await running.finished;
        await expectPrimaryClean(primary);
        expect(struck.stdout, what).not.toContain(
          struck.code === 0 ? 'nothing' : 'Base backup finished successfully',
        );
        if (await expectNothingHalf(standby, [before, now], what)) unfinished++;

        standby.writeIni({ basebackup_bwlimit: undefined });
        expectExit(await world.cmdStandby(standby, ['-B']), 0);
        const { backup } = await readRecord(standby.pgdata);
        expect(backup?.copy?.movedBytes, what).toBeLessThan(backup?.copy?.bytes ?? 0);
        expect(bulkHere(standby)?.equals(now), what).toBe(true);
      }
      expect(unfinished).toBeGreaterThan(0);
      expectExit(await world.cmdStandby(standby, ['-S']), 0);
      await primary.archived(await primary.switchWal());
      await eventually(async () => (await standby.value('SELECT count(*) FROM t')) === '20000');
    },
  );

  test('leaves a copy that -S, -A start and -F999 refuse, and that the next -B resumes', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world, { ini: { basebackup_bwlimit: 3000 } });
    const bulk = join(primary.pgdata, 'aaa-bulk');
    writeFileSync(bulk, randomBytes(2 * bulkBytes));
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    const running = world.startStandby(standby, ['-B']);
    await reach({ kind: 'arrived', bytes: bulkBytes }, running, standby);
    running.signal('SIGKILL');
    await running.finished;
    await expectPrimaryClean(primary);
    for (const action of ['-S', '-Astart', '-F999']) {
      const refused = await world.cmdStandby(standby, [action]);
      expectExit(refused, 4);
      expect(refused.stderr).toContain('is incomplete');
    }
    standby.writeIni({ basebackup_bwlimit: undefined });
    expectExit(await world.cmdStandby(standby, ['-B']), 0);
    const { backup } = await readRecord(standby.pgdata);
    expect(backup?.copy?.movedBytes).toBeLessThan((backup?.copy?.bytes ?? 0) - bulkBytes + 1);
    expect(readFileSync(inPgdata(standby, 'aaa-bulk')).equals(readFileSync(bulk))).toBe(true);
  });
});

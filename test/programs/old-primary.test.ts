import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { outerMajors, serverProgram } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { installHelpers } from './backup-kit.ts';
import { archiveSegments, laneState } from './catch-up-kit.ts';
import { addHeir, addRows, hasRows, makeStandby, timelineOf } from './matrix-kit.ts';
import { declaredAt, marksAt } from './siblings-kit.ts';
import { countRows, expectExit } from './standby-kit.ts';

interface Quartet {
  readonly a: Primary;
  readonly b: Standby;
  /** What b becomes. */
  readonly promoted: Primary;
  /** Has a backlog of five segments that it has not replayed. */
  readonly c: Standby;
  readonly d: Standby;
}

/** A feeds B, C and D; B streams, and will feed the other two. All have the same 70 rows, but C has replayed only 20. */
async function makeQuartet(world: World): Promise<Quartet> {
  const a = await world.startPrimary({ name: 'a', slaves: ['b', 'c', 'd'] });
  await a.sql('CREATE TABLE rows (id serial PRIMARY KEY)');
  await installHelpers(a);
  const b = await addHeir(world, 'b', a, 'promotion');
  b.writeIni({ failover_probe_timeout: 20 });
  const c = await world.addStandby('c', a, { ini: { wal_timeout: 60 } });
  const d = await world.addStandby('d', a, { ini: { wal_timeout: 60 } });
  expectExit(await world.cmdArchiver(a, ['-I']), 0);
  for (const standby of [b, c, d]) await makeStandby(world, standby);
  await addRows(a, 10);
  await archiveSegments(a, 1);
  await hasRows(c, 20);
  await c.sql(`SELECT pg_${a.major >= 10 ? 'wal' : 'xlog'}_replay_pause()`);
  const backlog = await archiveSegments(a, 5);
  for (const standby of [b, c, d]) await standby.received(backlog[4] ?? '');
  for (const standby of [b, d]) await hasRows(standby, 70);
  return { a, b, promoted: await world.asPrimary(b, ['c', 'd']), c, d };
}

async function resume(standby: Standby): Promise<void> {
  await standby.sql(`SELECT pg_${standby.major >= 10 ? 'wal' : 'xlog'}_replay_resume()`);
}

/** The old primary's rows, which exist nowhere else, in segments that it archives. */
async function goOnAlone(a: Primary): Promise<string[]> {
  await a.start();
  const names: string[] = [];
  for (let each = 0; each < 2; each++) {
    await addRows(a, 1000);
    names.push(await a.switchWal());
  }
  return names;
}

/** The segments of timeline 1 there that reach past the fork. */
function pastFork(standby: Standby, b: Standby): string[] {
  const history = readFileSync(join(b.pgdata, 'pg_wal', '00000002.history'), 'utf8');
  const [high = '', low = ''] = (/^1\t(\S+)/.exec(history)?.[1] ?? '').split('/');
  const number = Math.floor(Number.parseInt(low, 16) / (16 * 1024 * 1024));
  const atFork = `00000001${high.padStart(8, '0')}${number.toString(16).toUpperCase().padStart(8, '0')}`;
  return standby.archive().filter((name) => /^00000001[0-9A-F]{16}$/.test(name) && name >= atFork);
}

function laneOf(primary: Primary, standby: Standby): { readonly health?: string } {
  return laneState(primary, standby.name) as { readonly health?: string };
}

async function untilLane(primary: Primary, standby: Standby, health: string): Promise<void> {
  await eventually(() => laneOf(primary, standby).health === health, {
    limitMs: 120_000,
    what: `the lane of ${standby.name} on ${primary.name}: ${health}`,
  });
}

/** It follows the promoted server to its newest row, and has nothing of the old primary's. */
async function follows(standby: Standby, { b, promoted }: Quartet, rows: number): Promise<void> {
  const segment = await promoted.switchWal();
  await standby.received(segment);
  await hasRows(standby, rows);
  expect(pastFork(standby, b)).toEqual([]);
  expect(standby.archive()).toContain('00000002.history');
  const next = standby.archive().filter((name) => /^00000002[0-9A-F]{16}$/.test(name));
  for (const name of next.filter((each) => existsSync(join(b.pgdata, 'pg_wal', each))))
    expect(standby.archivedBytes(name).equals(readFileSync(join(b.pgdata, 'pg_wal', name)))).toBe(true);
}

describe.each(outerMajors())('an old primary that is started again, on PostgreSQL %i', (major) => {
  test.override({ major });

  test(
    'right after the failover brings nothing to a standby that was informed, or was away and comes back',
    { timeout: 480_000 },
    async ({ world }) => {
      const quartet = await makeQuartet(world);
      const { a, b, promoted, c, d } = quartet;
      await d.host.sshd.kill();
      await addRows(a, 10);
      await hasRows(b, 80);
      await a.kill9();
      const failover = await world.cmdStandby(b, ['-F999']);
      expectExit(failover, 0);
      expect(failover.stdout).toContain('Standby c was informed: it has not replayed past the fork');
      expect(failover.stdout).toMatch(/^Standby d was not informed/m);
      const alone = await goOnAlone(a);
      await untilLane(a, c, 'left');
      expect(marksAt(d)).toEqual([]);

      expectExit(await world.cmdArchiver(promoted, ['-I']), 0);
      await addRows(b, 10);
      await promoted.switchWal();
      // The new primary comes first to the one that was away.
      a.host.routeTo(d.host, { address: d.host.address, port: 1 });
      await d.host.sshd.start();
      await d.received('00000002.history');
      expect(marksAt(d)).toHaveLength(1);
      a.host.routeTo(d.host);
      await untilLane(a, d, 'left');
      await resume(c);
      for (const standby of [c, d]) await follows(standby, quartet, 90);
      expect(a.queue('c')).toEqual(expect.arrayContaining(alone));
      expect(await timelineOf(a)).toBe(1);
    },
  );

  test(
    'before the standbys are informed leaves none of them on its branch unnoticed',
    { timeout: 480_000 },
    async ({ world }) => {
      const quartet = await makeQuartet(world);
      const { a, b, promoted, c, d } = quartet;
      await addRows(a, 10);
      await hasRows(b, 80);
      await a.kill9();
      const { untilPromoted, release } = holdAfterPromotion(world, b);
      const failover = world.startStandby(b, ['-F999']);
      await untilPromoted();
      const alone = await goOnAlone(a);
      for (const standby of [c, d]) await standby.received(alone[1] ?? '');
      // D replays the rows of the old primary; C is still busy with its backlog.
      await hasRows(d, 2080);
      // As if it had streamed: the new primary would have sent it the history, and no WAL.
      const history = '00000002.history';
      copyFileSync(join(b.pgdata, 'pg_wal', history), join(d.pgdata, 'pg_wal', history));
      release();
      const finished = await failover.finished;
      expectExit(finished, 0);
      expect(declaredAt(b)).toMatch(/^1 /);
      for (const standby of [c, d]) expect(pastFork(standby, b)).toEqual([]);
      expect(finished.stdout).toMatch(/^Standby c was informed: it has not replayed past the fork; 2 files/m);
      expect(finished.stdout).toMatch(
        /^Standby d was informed: it has replayed WAL past the fork, and cannot follow; 2 files/m,
      );

      expectExit(await world.cmdArchiver(promoted, ['-I']), 0);
      await addRows(b, 10);
      await resume(c);
      await follows(c, quartet, 90);
      await untilLane(promoted, d, 'diverged');
      // A lane notes its state first, and then notifies.
      const isNotified = () =>
        promoted.host
          .notifications()
          .some(
            ({ severity, message }) =>
              severity === 'critical' && /standby d .*has replayed that timeline past/.test(message),
          );
      await eventually(isNotified, { what: 'the notification that d has diverged' });
      expect(await countRows(d)).toBe(2080);
      await untilLane(a, c, 'left');
    },
  );
});

/** Holds -F999 between the promotion and what follows it. */
function holdAfterPromotion(world: World, standby: Standby) {
  const { host, pgdata } = standby;
  const [promoted, released] = [join(host.directory, 'promoted'), join(host.directory, 'released')];
  const script = writeScript(
    host,
    'promote',
    `'${serverProgram(world.major, 'pg_ctl')}' promote -D '${pgdata}' -w || exit 1
touch '${promoted}'; until [ -e '${released}' ]; do sleep 0.1; done`,
  );
  standby.writeIni({ promote_command: script });
  return {
    untilPromoted: () => eventually(() => existsSync(promoted), { limitMs: 120_000, what: 'promoted' }),
    release: () => {
      writeFileSync(released, '');
    },
  };
}

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { backupPair } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

describe.each(failureMajors())('an old primary on PostgreSQL %i', (major) => {
  test.override({ major });

  test('feeds its standby nothing past the fork, is no source of a base backup, and can be restored', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    await primary.sql('CREATE TABLE t (n int)');
    // This host was a primary once.
    const { lArchiveDir } = await world.asPrimary(standby, [standby.name]);
    const declared = join(lArchiveDir, '.archiver', 'left_timelines');
    mkdirSync(join(lArchiveDir, '.archiver'), { recursive: true, mode: 0o700 });
    writeFileSync(declared, '1 0/1000060 here\n', { mode: 0o600 });
    const plan = await world.cmdStandby(standby, ['-B', '--dry-run']);
    expect(plan.stdout).toContain(`remove "${declared}": this host is a standby again`);
    expect(existsSync(declared)).toBe(true);
    expectExit(await world.cmdStandby(standby, ['-B']), 0);
    expect(existsSync(declared)).toBe(false);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await primary.sql('INSERT INTO t VALUES (1)');
    const before = await primary.switchWal();
    await standby.received(before);
    await eventually(async () => (await standby.value('SELECT count(*) FROM t')) === '1', {
      what: 'the first row on the standby',
    });

    // Another standby was promoted here, and tells this one.
    const lsn = await primary.value(
      major >= 10 ? 'SELECT pg_current_wal_lsn()' : 'SELECT pg_current_xlog_location()',
    );
    const sentinel = join(standby.archiveDir, '.pitrtools');
    const identifier = /system_identifier: (\d+)/.exec(readFileSync(sentinel, 'utf8'))?.[1] ?? '';
    const marked = await world.cmdStandby(standby, ['--serve', `mark-left 1 ${lsn} other ${identifier}`]);
    expectExit(marked, 0);
    expect(marked.stdout).toMatch(/"standing":"before"/);

    await primary.sql('INSERT INTO t VALUES (2)');
    const past = await primary.switchWal();
    await primary.archived(past);
    await eventually(() => primary.queue('standby1').includes(past), { what: 'its queue' });
    const state = () =>
      JSON.parse(readFileSync(join(primary.lArchiveDir, '.archiver', 'standby1.json'), 'utf8')) as Record<
        string,
        unknown
      >;
    await eventually(() => state()['health'] === 'left', { what: 'the state of its lane' });
    expect(state()['reason']).toMatch(/^timeline 1 was left at .* by other: this server is an old primary$/);
    expect(standby.archive()).not.toContain(past);

    const wal = await world.cmdStandby(standby, ['--wal']);
    expect(wal.stdout).toContain('Marked: timeline 1 was left at');
    expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
    const refused = await world.cmdStandby(standby, ['-B']);
    expectExit(refused, 4);
    expect(refused.stderr).toContain('the server there is an old primary: timeline 1 was left at');
    expect(readFileSync(sentinel, 'utf8')).toContain('left: 1 ');
    expectExit(await world.cmdStandby(standby, ['-A', 'start']), 0);
    expect(await standby.value('SELECT count(*) FROM t')).toBe('1');

    // A file that comes by another way is moved aside when the mark is reported again.
    writeFileSync(join(standby.archiveDir, past), readFileSync(join(primary.lArchiveDir, 'standby1', past)));
    const again = await world.cmdStandby(standby, ['--serve', `mark-left 1 ${lsn} other ${identifier}`]);
    expectExit(again, 0);
    expect(standby.archive()).not.toContain(past);

    // That promotion was a mistake.
    expectExit(await world.cmdArchiver(primary, ['--timeline-restored', '1']), 0);
    await eventually(async () => (await standby.value('SELECT count(*) FROM t')) === '2', {
      what: 'the second row on the standby',
      limitMs: 120_000,
    });
    await eventually(() => primary.queue('standby1').length === 0, {
      what: 'an empty queue',
      limitMs: 120_000,
    });
    await eventually(() => state()['health'] === 'ok', { what: 'a lane that is well again' });
  });
});

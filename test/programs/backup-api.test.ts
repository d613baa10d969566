import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { sessionsNamingSql } from '../../src/postgres/backup-sql.ts';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { allShipped, backupPair, isCopying } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

describe.each(failureMajors())('the sessions of PostgreSQL %i', (major) => {
  test.override({ major });

  test('are found by the label in their statement, and the query does not find its own session', async ({
    world,
  }) => {
    const primary = await world.startPrimary();
    const label = 'pitrtools here abc';
    await primary.withSession(async (client) => {
      await client.query(`SELECT '${label}'`);
      expect(await primary.sql(sessionsNamingSql(label))).toHaveLength(1);
      expect(await primary.sql(sessionsNamingSql('pitrtools here abd'))).toHaveLength(0);
    });
    await eventually(async () => (await primary.sql(sessionsNamingSql(label))).length === 0);
  });
});

describe.each(failureMajors())('the checkpoint and the end of a backup on PostgreSQL %i', (major) => {
  test.override({ major });

  test.for(['fast', 'spread'])(
    'the server makes the kind of checkpoint that basebackup_checkpoint: %s requests',
    async (checkpoint, { world }) => {
      const { primary, standby } = await backupPair(world, {
        ini: { basebackup_checkpoint: checkpoint },
        // So that a spread one ends at once: nothing is left to write between two of its pauses.
        primarySettings: {
          log_checkpoints: true,
          checkpoint_timeout: 30,
          checkpoint_completion_target: 0.01,
        },
      });
      expectExit(await world.cmdStandby(standby, ['-I']), 0);
      const begun = () => primary.logText().match(/checkpoint starting: .*/g) ?? [];
      await primary.sql('CHECKPOINT');
      const before = begun().length;
      expectExit(await world.cmdStandby(standby, ['-B']), 0);
      const own = begun()
        .slice(before)
        .filter((line) => line.includes('force'));
      expect(own.length).toBeGreaterThan(0);
      // The server's own words: "immediate", and from 18 "fast".
      const isFast = (line: string) => /\b(immediate|fast)\b/.test(line);
      expect(own.map(isFast)).toEqual(own.map(() => checkpoint === 'fast'));
    },
  );

  test('an archiver that fails while the backup ends is named as the cause', async ({ world }) => {
    const { primary, standby } = await backupPair(world, { ini: { wal_timeout: 3 } });
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    await allShipped(primary);
    // Ships the segment that proves the way, and none after it.
    const count = join(primary.host.directory, 'archived');
    const archive = `test ! -e '${count}' && touch '${count}' && cp "$1" '${standby.archiveDir}'/"$2"`;
    primary.configure({ archive_command: `${writeScript(primary.host, 'once', archive)} %p %f` });
    await primary.reload();
    const run = await world.cmdStandby(standby, ['-B'], { limitMs: 120_000 });
    expectExit(run, 1);
    expect(existsSync(count)).toBe(true);
    expect(run.stderr).toMatch(/the backup needs WAL that did not arrive in .* within 3 s: [0-9A-F]{24}/);
    expect(run.stderr).toMatch(
      /pg_stat_archiver on the primary: .* [1-9]\d* failures \(the last was [0-9A-F]{24}/,
    );
    expect(run.stderr).toContain('archive_command there is');
    expect(run.stderr).toContain('the next -B transfers only what has changed');
  });

  test('a session that is lost during the backup fails it, and the next backup succeeds', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world, { ini: { rsync_flags: '--bwlimit=2000' } });
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    writeFileSync(join(primary.pgdata, 'aaa-bulk'), randomBytes(8 * 1024 * 1024));
    const running = world.startStandby(standby, ['-B']);
    await eventually(() => isCopying(standby));
    await primary.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pitrtools base backup'",
    );
    const run = await running.finished;
    expectExit(run, 1);
    expect(run.stderr).toContain('psql on the primary');
    expect(run.stdout).not.toContain('finished');
    const start = await world.cmdStandby(standby, ['-S']);
    expectExit(start, 4);
    expect(start.stderr).toContain('is incomplete');
    standby.writeIni({ rsync_flags: '' });
    for (const action of ['-B', '-S']) expectExit(await world.cmdStandby(standby, [action]), 0);
  });
});

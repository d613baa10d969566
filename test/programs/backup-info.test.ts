import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { backupPair, inPgdata } from './backup-kit.ts';

describe.each(failureMajors())('--backup-info on PostgreSQL %i', (major) => {
  test.override({ major });

  test('refuses without a base backup, shows one as text and as JSON, and shows that a server was started on it', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    await world.cmdStandby(standby, ['-I']);
    const none = await world.cmdStandby(standby, ['--backup-info']);
    expect(none).toMatchObject({ code: 4 });
    expect(none.stderr).toContain('holds no record of a base backup');

    const backup = await world.cmdStandby(standby, ['-B']);
    expect(backup).toMatchObject({ code: 0 });
    await primary.stop('immediate');
    const info = await world.cmdStandby(standby, ['--backup-info']);
    expect(info).toMatchObject({ code: 0 });
    expect(info.stdout).toMatch(/^ {2}state: +complete; no server has started on it yet$/m);
    expect(info.stdout).toMatch(/^ {2}cluster: +\d+, from .*\/pgdata$/m);
    expect(info.stdout).toMatch(/^ {2}start: +0\/[0-9A-F]+ at 20\d\d-.*Z$/m);
    expect(info.stdout).toMatch(/^ {2}stop: +0\/[0-9A-F]+ at 20\d\d-.*Z$/m);
    expect(info.stdout).toMatch(/^ {2}timeline: +1$/m);
    expect(info.stdout).toMatch(/^ {2}WAL: +00000001[0-9A-F]{16}/m);
    expect(info.stdout).toMatch(/^ {2}made by: +cmd_standby \d/m);
    // The summary of -B says the same.
    for (const line of backup.stdout.split('\n').filter((one) => /^ {2}(start|stop|WAL|size|rate)/.test(one)))
      expect(info.stdout.split('\n').map((one) => one.replace(/ +/g, ' '))).toContain(
        line.replace(/ +/g, ' '),
      );

    const json = await world.cmdStandby(standby, ['--backup-info', '--json']);
    expect(JSON.parse(json.stdout)).toMatchObject({
      pgdata: standby.pgdata,
      hasStarted: false,
      status: 'complete',
      timeline: 1,
      segmentSize: 16 * 1024 * 1024,
      primaryPgdata: primary.pgdata,
    });
    // A base backup is old only as long as nothing was replayed on it.
    const record = inPgdata(standby, 'pitrtools.json');
    const { backup: recorded, ...others } = JSON.parse(readFileSync(record, 'utf8')) as {
      backup: Record<string, unknown>;
    };
    const stopTime = new Date(Date.now() - 9 * 86_400_000).toISOString();
    writeFileSync(record, JSON.stringify({ ...others, backup: { ...recorded, stopTime } }));
    const old = async () => (await world.cmdStandby(standby, ['--status'])).stdout;
    expect(await old()).toMatch(/WARNING +the base backup here is 216 h \d+ min old/);
    expect(await world.cmdStandby(standby, ['-S'])).toMatchObject({ code: 0 });
    await eventually(() => !existsSync(inPgdata(standby, 'backup_label')));
    const started = await world.cmdStandby(standby, ['--backup-info', '--json']);
    expect(JSON.parse(started.stdout)).toMatchObject({ hasStarted: true, status: 'complete' });
    expect(await old()).not.toMatch(/WARNING +the base backup/);
  });

  test('refuses --json with an action that cannot answer with a JSON object', async ({ world }) => {
    const { standby } = await backupPair(world, { helpers: 'none' });
    const wrong = await world.cmdStandby(standby, ['-S', '--json']);
    expect(wrong).toMatchObject({ code: 2 });
    expect(wrong.stderr).toContain('--json can be used only with -B, --verify, --backup-info, --status');
  });
});

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { mustRun } from '../harness/processes.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import { backupPair } from './backup-kit.ts';
import { screensOf } from './terminal-screen.ts';

/** What a person at a terminal of so many columns gets to see, byte for byte: `script` records it. */
async function onTerminal(standby: Standby, action: string, columns: number): Promise<string> {
  const { directory, env } = standby.host;
  const recording = join(directory, 'terminal');
  const command = `stty cols ${columns} rows 24; exec '${checkout('bin', 'cmd_standby')}' -C '${standby.iniFile}' ${action}`;
  await mustRun('script', ['-q', '-e', '-c', command, recording], {
    env: { ...env, TERM: 'xterm' },
    cwd: directory,
  });
  return readFileSync(recording, 'utf8');
}

describe.each(failureMajors())('the progress of a base backup of PostgreSQL %i', (major) => {
  test.override({ major });

  test('is a bar on a terminal, which is removed while messages are written and at the end', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world, { ini: { debug: 'off' } });
    writeFileSync(join(primary.pgdata, 'aaa-bulk'), Buffer.alloc(8 * 1024 * 1024, 'abcdefgh'));
    await world.cmdStandby(standby, ['-I']);
    standby.writeIni({ rsync_flags: '--bwlimit=8000' });
    const { frames, screen } = screensOf(await onTerminal(standby, '-B', 120), 120);
    expect(frames.some((line) => line === 'Base backup: waiting for the checkpoint of the primary …')).toBe(
      true,
    );
    const bar =
      /^Base backup: data \[[#.]{24}\] \d+ % [\d.]+ \w+ of [\d.]+ MB, \d+ of \d+ files, ([\d.]+ \w+\/s|–), (.* left|time left unknown)$/;
    expect(frames.filter((line) => bar.test(line)).length).toBeGreaterThan(2);
    expect(frames.some((line) => line === 'Base backup: waiting for the WAL …')).toBe(true);
    // What is left on the screen at the end are whole messages, and no piece of a bar.
    expect(screen).toContain('Base backup finished successfully');
    expect(screen.filter((line) => line.startsWith('Base backup:'))).toEqual([]);
    expect(screen.filter((line) => /^(NOTICE|WARNING): /.test(line)).length).toBeGreaterThan(0);
    expect(screen.some((line) => /^ {2}WAL: +0{7}1[0-9A-F]{16}/.test(line))).toBe(true);
  });

  test('never wraps on a narrow terminal, and is printed as lines on a terminal without cursor control', async ({
    world,
  }) => {
    const { standby } = await backupPair(world, { ini: { debug: 'off' } });
    await world.cmdStandby(standby, ['-I']);
    const { frames } = screensOf(await onTerminal(standby, '-B', 40), 40);
    const drawn = frames.filter((line) => line.startsWith('Base backup: '));
    expect(drawn.length).toBeGreaterThan(2);
    expect(drawn.filter((line) => line.length >= 40)).toEqual([]);

    const again = await world.cmdStandby(standby, ['-B']);
    expect(again).toMatchObject({ code: 0 });
    const said = again.stderr.split('\n').filter((line) => line.startsWith('NOTICE: base backup: '));
    expect(said[0]).toBe('NOTICE: base backup: waiting for the checkpoint of the primary');
    expect(said.at(-1)).toBe('NOTICE: base backup: waiting for the WAL');
    expect(again.stdout + again.stderr).not.toContain('\x1b');
  });

  test('is logged as a line at regular intervals, also as JSON', async ({ world }) => {
    const { primary, standby } = await backupPair(world, { ini: { debug: 'off', progress_interval: 1 } });
    writeFileSync(join(primary.pgdata, 'aaa-bulk'), Buffer.alloc(8 * 1024 * 1024, 'abcdefgh'));
    await world.cmdStandby(standby, ['-I']);
    standby.writeIni({ rsync_flags: '--bwlimit=4000', log_format: 'json' });
    const backup = await world.cmdStandby(standby, ['-B', '--json']);
    expect(backup).toMatchObject({ code: 0 });
    const lines = backup.stderr
      .trim()
      .split('\n')
      .map(
        (line) => JSON.parse(line) as { msg: string; phase?: string; bytes?: number; plannedBytes?: number },
      );
    const data = lines.filter(({ phase }) => phase === 'data');
    expect(data.length).toBeGreaterThan(2);
    expect(data.at(-1)?.msg).toMatch(
      /^base backup: data, \d+ %: [\d.]+ \w+ of [\d.]+ MB, \d+ of \d+ files, /,
    );
    expect(data.at(-1)?.plannedBytes).toBeGreaterThan(8 * 1024 * 1024);
    const bytes = data.map((line) => line.bytes ?? 0);
    expect(bytes).toEqual([...bytes].sort((a, b) => a - b));
    // One object, and nothing else, on standard output.
    expect(JSON.parse(backup.stdout)).toMatchObject({ status: 'complete', timeline: 1 });
  });
});

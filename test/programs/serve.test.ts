import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { formatLsn, parseLsn } from '../../src/postgres/lsn.ts';
import { startSession } from '../../src/system/command.ts';
import { type SshTarget, withRemoteShell } from '../../src/system/ssh.ts';
import { callVerb } from '../../src/verbs/call.ts';
import { answerMark, type AnswerOf } from '../../src/verbs/verbs.ts';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { wideMajors } from '../harness/postgres-programs.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { archiveRows, expectExit, makePair } from './standby-kit.ts';

/** Asks by the program of this host, as another host would over ssh. */
async function ask(world: World, standby: Standby, line: string): Promise<Record<string, unknown>> {
  const run = await world.cmdStandby(standby, ['--serve', line]);
  expectExit(run, 0);
  const answers = run.stdout.split('\n').filter((text) => text.startsWith(answerMark));
  expect(answers).toHaveLength(1);
  return JSON.parse(answers[0]?.slice(answerMark.length) ?? '') as Record<string, unknown>;
}

function lsnIn(segment: string, offset: number): string {
  const [log, seg] = [segment.slice(8, 16), segment.slice(16)].map((digits) => parseInt(digits, 16));
  return formatLsn((BigInt(log ?? 0) << 32n) + BigInt(seg ?? 0) * 0x100_0000n + BigInt(offset));
}

const anyLsn = expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/) as unknown;

describe.each(wideMajors())('cmd_standby --serve on PostgreSQL %i', (major) => {
  test.override({ major });

  test('says how far a hot standby has come, running and stopped, and which segments it has', async ({
    world,
  }) => {
    const pair = await makePair(world);
    const { primary, standby } = pair;
    const systemIdentifier = await primary.value('SELECT system_identifier FROM pg_control_system()');
    const cold = await ask(world, standby, 'status');
    expect(cold).toMatchObject({ server: 'down', systemIdentifier, isStandby: false });

    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    const first = await archiveRows(pair, 10);
    const second = await archiveRows(pair, 20);
    await eventually(async () => {
      const { replayed } = await ask(world, standby, 'status');
      return typeof replayed === 'string' && parseLsn(replayed) > parseLsn(lsnIn(second, 0));
    });
    expect(await ask(world, standby, 'status')).toMatchObject({
      server: 'recovering',
      systemIdentifier,
      segmentSize: 16 * 1024 * 1024,
      isStandby: true,
      restartpoint: { timeline: 1, lsn: anyLsn },
      proved: { timeline: 1, lsn: anyLsn },
    });
    const offer = await ask(world, standby, `wal-from ${lsnIn(first, 40)}`);
    expect(offer).toMatchObject({ server: 'recovering', archived: [first, second], inPgWal: [] });
    expect(await ask(world, standby, `wal-from ${lsnIn(second, 0)}`)).toMatchObject({ archived: [second] });

    await standby.stop();
    const stopped = await ask(world, standby, 'status');
    expect(stopped).toMatchObject({ server: 'down', isStandby: true, proved: { timeline: 1, lsn: anyLsn } });
    expect(stopped).not.toHaveProperty('replayed');
  });
});

describe('cmd_standby --serve', () => {
  test('says what a warm standby proves, and that there is no data', async ({ world }) => {
    const pair = await makePair(world, { settings: { hot_standby: false } });
    const { standby } = pair;
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await archiveRows(pair, 10);
    const warm = await ask(world, standby, 'status');
    expect(warm).toMatchObject({ server: 'recovering', isStandby: true, proved: { timeline: 1 } });
    expect(warm).not.toHaveProperty('replayed');

    standby.writeIni({ pgdata: join(standby.host.directory, 'nothing') });
    const space = { bytes: expect.any(Number) as number, free: expect.any(Number) as number };
    expect(await ask(world, standby, 'status')).toEqual({ server: 'no-data', disk: space });
  });

  test('refuses any other line, runs nothing of it, and is understood among what a start-up file prints', async ({
    world,
  }) => {
    const { primary, standby } = await makePair(world);
    const trace = join(standby.host.directory, 'trace');
    for (const line of [
      'stop',
      `status; touch ${trace}`,
      `status $(touch ${trace})`,
      'wal-from 0/0\ntouch',
      'wal-from ../x',
      'status\u001b[2J',
    ]) {
      const run = await world.cmdStandby(standby, ['--serve', line]);
      expectExit(run, 2);
      expect(run.stdout).toBe('');
      expect(run.stderr).not.toContain('\u001b');
    }
    expect(existsSync(trace)).toBe(false);

    const program = writeScript(
      standby.host,
      'noisy',
      `echo hello; echo 'answer of nobody' >&2; '${checkout('bin', 'cmd_standby')}' "$@"; code=$?; echo bye; exit $code`,
    );
    const target: SshTarget = {
      host: standby.name,
      what: 'the standby',
      user: world.user,
      ssh: { program: '/usr/bin/ssh', args: primary.host.ssh.split(' ').slice(1) },
      connectTimeoutS: 10,
      debug: false,
    };
    const log = { debug: () => undefined } as never;
    const used = await withRemoteShell({ startSession, log }, target, (shell) =>
      callVerb(shell, { program, iniFile: standby.iniFile }, 'status', {}, 30_000),
    );
    const answer: Partial<AnswerOf<'status'>> = { server: 'down', isStandby: false };
    expect(used).toMatchObject({ kind: 'used', value: { kind: 'answered', answer } });
  });
});

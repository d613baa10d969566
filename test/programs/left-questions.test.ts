import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import type { Host } from '../harness/host.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { archivedFiles } from './archiver-cluster.ts';
import { clusterOf, declare, inform, only, promote, sentinelOf } from './left-timelines-kit.ts';
import { makeReady, pretendRunning, startShipper } from './shipper-kit.ts';

/** A new primary, and a standby that knows which timeline it left. */
async function informedStandby(world: World) {
  const cluster = await clusterOf(world, ['s1']);
  const standby = only(cluster);
  promote(cluster);
  declare(cluster);
  await inform(cluster, standby);
  return { cluster, standby };
}

describe('a standby whose cmd_standby hangs', () => {
  /** Its cmd_standby notes each question and does not answer it, until `release` is called. */
  function hang(standby: Host, { answersThen = false } = {}) {
    const [program, questions, stop] = ['cmd_standby', 'questions', 'stop'].map((name) =>
      join(standby.directory, name),
    ) as [string, string, string];
    const script = `#!/bin/sh
echo "$4" >> ${questions}
until [ -e ${stop} ]; do sleep 0.1; done
echo end >> ${questions}
${answersThen ? `exec ${checkout('bin', 'cmd_standby')} "$@"` : ''}
`;
    writeFileSync(program, script, { mode: 0o755 });
    const sentinel = sentinelOf(standby).replace(/^program: .*$/m, `program: ${program}`);
    writeFileSync(join(standby.archiveDir, '.pitrtools'), sentinel);
    const lines = () => (existsSync(questions) ? readFileSync(questions, 'utf8').split('\n') : []);
    const asked = (): number => lines().filter((line) => line.startsWith('check-left 1 ')).length;
    const release = async (): Promise<void> => {
      writeFileSync(stop, '');
      const isOver = () => lines().filter((line) => line === 'end').length === (lines().length - 1) / 2;
      await eventually(isOver, { what: 'the end of the hanging programs' });
    };
    return { asked, release };
  }

  test('gets WAL all the same: how far it has come stays unknown', async ({ world }) => {
    const { cluster, standby } = await informedStandby(world);
    const { asked, release } = hang(standby);
    pretendRunning(world, cluster);
    await startShipper(cluster);
    const names = [4, 5].map((number) => cluster.segment(number, 2));
    for (const name of names) {
      cluster.addSegment(name);
      makeReady(cluster, name);
    }
    // The question may take longer than that.
    await eventually(() => names.every((name) => archivedFiles(standby).includes(name)), {
      what: 'WAL at the standby',
      limitMs: 120_000,
    });
    await eventually(() => cluster.state('s1')['health'] === 'ok', { what: 'a lane that is well' });
    expect(asked()).toBe(1);
    await release();
  });

  test('and that is abandoned before it answers: its answer makes nobody log in again and again', async ({
    world,
  }) => {
    const { cluster, standby } = await informedStandby(world);
    const { asked, release } = hang(standby, { answersThen: true });
    pretendRunning(world, cluster);
    await startShipper(cluster);
    await eventually(() => asked() === 1, { what: 'the question' });
    expect((await cluster.run(['--abandon', 's1'])).code).toBe(0);
    const logins = (): number => readFileSync(standby.sshd.log, 'utf8').split('Accepted publickey').length;
    const before = logins();
    await release();
    await eventually(() => logins() > before, { what: 'the question whether it wants WAL again' });
    await delay(3_000);
    expect(logins() - before).toBeLessThan(4);
  });

  test('is not asked by each archive_command', async ({ world }) => {
    const { cluster, standby } = await informedStandby(world);
    const { asked, release } = hang(standby);
    const names = [4, 5].map((number) => cluster.segment(number, 2));
    for (const name of names) {
      cluster.addSegment(name);
      expect((await cluster.archive(name)).code).toBe(0);
      expect(cluster.state('s1')).toMatchObject({ health: 'ok' });
    }
    expect(asked()).toBe(1);
    expect(archivedFiles(standby)).toEqual(names);
    await release();
  });
});

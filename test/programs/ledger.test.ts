import { appendFileSync, existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { sendSignal } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import { readyCluster } from './archiver-cluster.ts';
import { shownLedger, writtenLedger } from './ledger-kit.ts';
import {
  addReadySegments,
  makeDone,
  pretendRunning,
  privatePath,
  startShipper,
  untilMarked,
} from './shipper-kit.ts';

describe('the ledger', () => {
  test('knows what archive_command and --flush delivered, and what an abandoned standby lost', async ({
    world,
  }) => {
    const cluster = await readyCluster(world, { slaves: ['s1', 's2'] });
    const archive = async (from: number, count: number): Promise<void> => {
      for (let number = from; number < from + count; number++) {
        cluster.addSegment(cluster.segment(number));
        expect((await cluster.archive(cluster.segment(number))).code).toBe(0);
      }
    };
    const ledgerOf = async (standby: string) =>
      shownLedger(await cluster.run(['--ledger', '--json']), standby);
    await archive(1, 2);
    expect((await cluster.run(['--abandon', 's2'])).code).toBe(0);
    await archive(3, 2);
    expect((await cluster.run(['--resume', 's2'])).code).toBe(0);
    await archive(5, 1);
    cluster.addFile('00000002.history', '1\t0/600000\tno recovery target specified\n');
    expect((await cluster.archive('00000002.history')).code).toBe(0);

    const [s1] = cluster.standbys;
    await s1?.sshd.kill();
    await archive(6, 2);
    expect(await ledgerOf('s1')).toMatchObject({ delivered: [{ last: cluster.segment(5) }] });
    await s1?.sshd.start();
    cluster.forgetTrouble('s1');
    expect((await cluster.run(['--flush'])).code).toBe(0);
    expect(await ledgerOf('s1')).toMatchObject({
      delivered: [{ first: cluster.segment(1), last: cluster.segment(7), segments: 7, learned: 0 }],
      missing: [],
    });
    const second = await ledgerOf('s2');
    expect(second.missing).toMatchObject([
      { first: cluster.segment(3), last: cluster.segment(4), why: 'abandoned' },
    ]);
    expect(second.events.map(({ kind }) => kind)).toEqual(['abandoned', 'resumed', 'timeline']);
    expect(second.events[0]?.user).not.toBe('');

    appendFileSync(privatePath(cluster, 'ledger', 's2@events'), 'not ours \u001B[2J\n{"torn":');
    const shown = await cluster.run(['--ledger', 's2']);
    expect(shown.code).toBe(0);
    expect(shown.stderr).toMatch(/line 4 of .*s2@events" is not understood/);
    expect(shown.stderr).toMatch(/line 5 of /);
    expect(shown.stdout + shown.stderr).not.toContain('\u001B');
    expect(shown.stdout).toMatch(/abandoned by the operator +\S+@/);
    expect(shown.stdout).toMatch(new RegExp(`${cluster.segment(3)} +${cluster.segment(4)} +2 +abandoned`));
    expect(await cluster.run(['--ledger', 's3'])).toMatchObject({ code: 1 });
  });

  test('learns from the standby what a shipper that was killed had not written', async ({ world }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'], ini: { queue_after: 60 } });
    pretendRunning(world, cluster);
    const shipper = await startShipper(cluster);
    const deliver = async (from: number, count: number): Promise<void> => {
      const names = [...addReadySegments(cluster, from, count).keys()];
      await untilMarked(cluster, names);
      for (const name of names) makeDone(cluster, name);
    };
    await deliver(1, 3);
    await eventually(() => existsSync(privatePath(cluster, 'ledger', 's1')));
    // The next write is ten seconds later.
    await deliver(4, 5);
    await deliver(9, 3);
    expect(writtenLedger(cluster.lArchiveDir, 's1')).not.toContain(cluster.segment(11));
    sendSignal(shipper.pid, 'SIGKILL');
    await shipper.finished;

    const next = await startShipper(cluster);
    await deliver(12, 1);
    next.signal('SIGTERM');
    expect((await next.finished).code).toBe(0);
    const { delivered, missing } = shownLedger(await cluster.run(['--ledger', '--json']), 's1');
    expect(missing).toEqual([]);
    expect(delivered).toMatchObject([{ first: cluster.segment(1), last: cluster.segment(12), segments: 12 }]);
    expect(delivered[0]?.learned).toBeGreaterThan(0);
    expect(statSync(join(privatePath(cluster, 'ledger', 's1'))).mode & 0o777).toBe(0o600);
  });
});

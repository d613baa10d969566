import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Delivery } from '../../../../src/archiver/delivery/delivery.ts';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import type { Lane } from '../../../../src/archiver/lane/lane.ts';
import { sendQueue, sendStopped } from '../../../../src/archiver/lane/send.ts';
import type { CommandResult } from '../../../../src/system/command.ts';
import { type RemoteWork, scriptOf } from '../../../../src/system/ssh.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { walName } from '../wal-fixture.ts';

function nameAt(number: number): string {
  return `0000000100000000${number.toString(16).toUpperCase().padStart(8, '0')}`;
}

function namesFrom(first: number, count: number): string[] {
  return Array.from({ length: count }, (_, at) => nameAt(first + at));
}

/** A standby that takes what it is sent, but for one file; `batches` are the names that each rsync was given. */
function standby(refused?: string) {
  const queue = join(temporaryDirectory(), 's1');
  mkdirSync(queue);
  const batches: string[][] = [];
  const run = (_: unknown, { input }: { input: string }): Promise<CommandResult> => {
    batches.push(input.split('\0').filter(Boolean));
    return Promise.resolve({ kind: 'exited', code: 0, stdout: '', stderr: '' });
  };
  const answer = (script: string): string[] => {
    const names = [...new Set(script.match(/0{7}1[0-9A-F]{16}/g))];
    const stored = refused === undefined ? names : names.slice(0, [...names, refused].indexOf(refused));
    return stored.map((name) => `stored ${name}`);
  };
  const delivery = {
    standby: { name: 's1', ssh_timeout: 1, rsync_flags: [] },
    rsync: { rsync: { program: 'rsync', args: [] }, flags: [], version: 3 },
    noteDelivery: () => Promise.resolve(),
    place: { archivedir: '/a', systemIdentifier: '1', lane: 'l', run: 'r', mode: 'store' },
    shell: {
      target: { host: 'h', user: 'u' },
      rsyncShell: 'ssh',
      stderr: () => '',
      run: (work: RemoteWork) => Promise.resolve({ kind: 'done', status: 0, lines: answer(scriptOf(work)) }),
    },
  } as unknown as Delivery;
  const deps = { monotonicMs: () => 0, run } as unknown as ArchiverDeps;
  const fill = (names: readonly string[]): void => {
    for (const name of names) writeFileSync(join(queue, name), 'wal');
  };
  return { lane: { queue, name: 's1' } as Lane, delivery, deps, batches, fill };
}

describe('a queue', () => {
  test('is sent in batches, oldest file first, and loses the files that are safe', async () => {
    const { lane, delivery, deps, batches, fill } = standby();
    fill(namesFrom(1, 300));
    const result = await sendQueue(deps, lane, delivery, { mayContinue: () => true });
    expect(result).toEqual({ sent: 300, isEmpty: true, trouble: undefined });
    expect(batches.map(({ length }) => length)).toEqual([256, 44]);
    expect(batches.flat()).toEqual(namesFrom(1, 300));
    expect(readdirSync(lane.queue)).toEqual([]);
  });

  test('is listed again, and a file that was added meanwhile is sent once', async () => {
    const { lane, delivery, deps, batches, fill } = standby();
    fill(namesFrom(1, 2));
    let isFilled = false;
    const pace = {
      mayContinue: () => true,
      delivered: () => {
        if (!isFilled) fill(namesFrom(3, 2));
        isFilled = true;
      },
    };
    expect(await sendQueue(deps, lane, delivery, pace)).toMatchObject({ sent: 4, isEmpty: true });
    expect(batches).toEqual([namesFrom(1, 2), namesFrom(3, 2)]);
  });

  test('keeps the rest when the pace allows no further batch', async () => {
    const { lane, delivery, deps, fill } = standby();
    fill(namesFrom(1, 300));
    let begun = 0;
    const pace = { mayContinue: () => begun++ === 0 };
    expect(await sendQueue(deps, lane, delivery, pace)).toEqual({
      sent: 256,
      isEmpty: false,
      trouble: undefined,
    });
    expect(readdirSync(lane.queue).sort()).toEqual(namesFrom(257, 44));
  });

  test('keeps files that the standby did not confirm', async () => {
    const { lane, delivery, deps, fill } = standby(nameAt(3));
    fill(namesFrom(1, 4));
    const result = await sendQueue(deps, lane, delivery, { mayContinue: () => true });
    expect(result).toMatchObject({ sent: 2, isEmpty: false, trouble: { kind: 'failed' } });
    expect(readdirSync(lane.queue).sort()).toEqual([nameAt(3), nameAt(4)]);
  });
});

test('the files of a stopped server are sent from pg_wal, and stay there', async () => {
  const { lane, delivery, deps, batches, fill } = standby(nameAt(2));
  const names = namesFrom(1, 3);
  fill(names);
  const pace = { mayContinue: () => true };
  const result = await sendStopped(deps, delivery, lane.queue, names.map(walName), pace);
  expect([...result.shipped]).toEqual([nameAt(1)]);
  expect(result.trouble).toMatchObject({ kind: 'failed' });
  expect(batches).toEqual([names]);
  expect(readdirSync(lane.queue).sort()).toEqual(names);
});

import { mkdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import { laneOf } from '../../../../src/archiver/lane/lane.ts';
import {
  abandonLane,
  type Finding,
  noteRequest,
  recordFinding,
  withLost,
} from '../../../../src/archiver/lane/modes.ts';
import { findingOf } from '../../../../src/archiver/lane/policy.ts';
import { readLaneState } from '../../../../src/archiver/lane/state.ts';
import { layoutOf } from '../../../../src/archiver/layout.ts';
import type { ArchiverSettings, StandbyTarget } from '../../../../src/config/options-archiver.ts';
import { parseLeft } from '../../../../src/postgres/left-timeline.ts';
import type { StartHook } from '../../../../src/system/hook.ts';
import { textLog } from '../../../../src/system/log.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

interface Call {
  readonly command: string | undefined;
  readonly env: Readonly<Record<string, string>> | undefined;
}

/** A lane whose notify commands are written down instead of run, and a clock that stands where it is put. */
function lane(reminderS = 3600) {
  const root = temporaryDirectory();
  const layout = layoutOf(root);
  const s1 = laneOf(layout, { name: 's1' } as StandbyTarget);
  mkdirSync(layout.privateDirectory);
  const calls: Call[] = [];
  const startHook: StartHook = ({ command, env }) => {
    calls.push({ command, env });
    const ended = Promise.resolve({ kind: 'exited', code: 0, stdout: '', stderr: '' } as const);
    return { ended, leave: () => undefined };
  };
  const clock = { now: 1_000_000 };
  const settings: Partial<ArchiverSettings> = {
    l_archivedir: root,
    notify_ok: 'ok',
    notify_warning: 'warn',
    notify_critical: 'crit',
    notify_reminder: reminderS,
  };
  const log = textLog({ debug: false }, () => undefined);
  const moment = () => ({ boot: 'this', ms: clock.now / 2 });
  const now = () => clock.now;
  const deps = {
    settings,
    layout,
    startHook,
    log,
    now,
    moment,
    monotonicMs: () => clock.now,
    nonce: () => 'n',
  } as unknown as ArchiverDeps;
  const find = async (health: Finding['health'], atS: number): Promise<string[]> => {
    const before = calls.length;
    clock.now = 1_000_000 + atS * 1000;
    const state = await readLaneState(s1);
    await recordFinding(deps, s1, state, { health, reason: 'why', segment: 'seg' });
    return calls.slice(before).map(({ command }) => String(command).split(' ')[0] ?? '');
  };
  return { find, calls, state: () => readLaneState(s1), deps, s1 };
}

describe('the operator is notified', () => {
  test('once of each change of severity, and never while all is well', async () => {
    const { find } = lane();
    expect(await find('ok', 0)).toEqual([]);
    expect(await find('unreachable', 1)).toEqual(['warn']);
    expect(await find('unreachable', 2)).toEqual([]);
    expect(await find('slow', 3)).toEqual([]);
    expect(await find('behind', 4)).toEqual([]);
    expect(await find('conflict', 5)).toEqual(['crit']);
    expect(await find('ok', 6)).toEqual(['ok']);
    expect(await find('ok', 7)).toEqual([]);
  });

  test('again after the reminder interval, while the problem lasts', async () => {
    const { find } = lane(60);
    expect(await find('unreachable', 0)).toEqual(['warn']);
    expect(await find('unreachable', 59)).toEqual([]);
    expect(await find('unreachable', 60)).toEqual(['warn']);
    expect(await find('unreachable', 100)).toEqual([]);
  });

  test('never again if the interval is 0', async () => {
    const { find } = lane(0);
    expect(await find('unreachable', 0)).toEqual(['warn']);
    expect(await find('unreachable', 1_000_000)).toEqual([]);
  });

  test('with the details in the environment', async () => {
    const { find, calls } = lane();
    await find('conflict', 0);
    expect(calls[0]?.env).toEqual({
      PITRTOOLS_PROGRAM: 'cmd_archiver',
      PITRTOOLS_STANDBY: 's1',
      PITRTOOLS_SEVERITY: 'critical',
      PITRTOOLS_SEGMENT: 'seg',
      PITRTOOLS_QUEUE_LENGTH: '0',
      PITRTOOLS_MESSAGE: 'WAL for standby s1 is queued: why',
    });
  });
});

test('the state contains since when it lasts, and forgets an abandonment that has ended', async () => {
  const { find, state } = lane();
  await find('unreachable', 0);
  const first = await state();
  await find('unreachable', 50);
  expect((await state()).since).toBe(first.since);
  await find('ok', 60);
  expect(await state()).toMatchObject({ health: 'ok', since: new Date(1_060_000).toISOString() });
  expect(await state()).not.toHaveProperty('abandoned');
});

test('the time since when a standby is in trouble is measured by a clock that nobody sets', async () => {
  const { find, state } = lane();
  await find('unreachable', 1);
  const { sinceMoment } = await state();
  expect(sinceMoment).toEqual({ boot: 'this', ms: 500_500 });
  await find('unreachable', 9);
  expect((await state()).sinceMoment).toEqual(sinceMoment);
  await find('conflict', 10);
  expect((await state()).sinceMoment).toEqual({ boot: 'this', ms: 505_000 });
});

test('the lost range grows in both directions and across timelines', () => {
  const abandoned = { since: 'x', by: 'operator' } as const;
  const first = withLost(abandoned, ['000000010000000000000005', '000000010000000000000003']);
  expect(first).toMatchObject({
    firstLost: '000000010000000000000003',
    lastLost: '000000010000000000000005',
  });
  expect(withLost(first, ['00000002.history'])).toMatchObject({
    firstLost: '000000010000000000000003',
    lastLost: '00000002.history',
  });
  expect(withLost(abandoned, [])).toMatchObject({ firstLost: undefined });
});

test('a resume request that was recorded just before the abandonment does not end it', async () => {
  const { deps, s1, state, find } = lane();
  mkdirSync(s1.queue);
  await find('no-space', 1);
  await noteRequest(deps, s1, 'of a killed base backup');
  await abandonLane(deps, s1, {
    by: 'policy',
    names: ['000000010000000000000001'],
    why: 'its queue is full',
  });
  expect(await state()).toMatchObject({
    health: 'abandoned',
    seenRequest: 'of a killed base backup',
    abandoned: { by: 'policy', firstLost: '000000010000000000000001' },
  });
});

test('the mark for which WAL was refused is kept until the standby takes WAL again', async () => {
  const { deps, s1, find, state } = lane();
  const mark = { timeline: 1, lsn: 0x5000060n, by: 'beta' };
  const finding = findingOf(deps, await state(), { kind: 'left', reason: 'why', mark }, 0);
  await recordFinding(deps, s1, await state(), finding);
  expect(parseLeft((await state()).refusedFor ?? '')).toEqual(mark);
  await find('ok', 1);
  expect((await state()).refusedFor).toBeUndefined();
});

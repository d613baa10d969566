import { linkSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import type { Lane } from '../../../../src/archiver/lane/lane.ts';
import {
  answerFull,
  fullnessOf,
  isResting,
  queueWithinLimits,
  reasonOf,
  requireRoom,
  restMs,
  retryAtOf,
  troubleOfError,
} from '../../../../src/archiver/lane/policy.ts';
import type { LaneState } from '../../../../src/archiver/lane/state.ts';
import { plainCopy } from '../../../../src/archiver/queue/local-copy.ts';
import type { WalFile } from '../../../../src/archiver/wal/wal-file.ts';
import type { ArchiverSettings } from '../../../../src/config/options-archiver.ts';
import { PitrError } from '../../../../src/errors.ts';
import { textLog } from '../../../../src/system/log.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { walFile } from '../wal-fixture.ts';

const now = 5_000_000;
const clock = { now: () => 1_000, monotonicMs: () => now, moment: () => ({ boot: 'this', ms: now }) };

function ago(seconds: number): number {
  return now - seconds * 1000;
}

function troubleFor(seconds: number): LaneState {
  return { health: 'unreachable', sinceMoment: { boot: 'this', ms: ago(seconds) } };
}

describe('a standby in trouble is left alone', () => {
  const rest = (troubleMs: number, waitedMs = 0) => restMs({ kind: 'unreachable', troubleMs, waitedMs });

  test('for as long as its trouble has lasted, between half a second and ten seconds', () => {
    expect([0, 800, 4_000, 10_000, 3_600_000].map((ms) => rest(ms))).toEqual([
      500, 800, 4_000, 10_000, 10_000,
    ]);
  });

  test('for five times as long as PostgreSQL waited for the try, but for a minute at most', () => {
    expect(rest(0, 60)).toBe(500);
    expect(rest(1_000, 400)).toBe(2_000);
    expect(rest(0, 30_000)).toBe(60_000);
  });

  test('for a minute if only an operator can end the trouble', () => {
    expect(restMs({ kind: 'conflict', troubleMs: 0, waitedMs: 0 })).toBe(60_000);
  });

  test('for as long as its state file requires', () => {
    expect(retryAtOf(clock, { health: 'ok' }, 'unreachable', 0)).toBe(1_500);
    expect(retryAtOf(clock, troubleFor(4), 'slow', 0)).toBe(5_000);
  });

  test('until that time is over, or the clock was set back', () => {
    const state = { health: 'unreachable', retryAt: 100_000 } as const;
    expect(isResting(state, 99_999)).toBe(true);
    expect(isResting(state, 100_000)).toBe(false);
    expect(isResting(state, 10_000)).toBe(false);
    expect(isResting({ health: 'ok' }, 0)).toBe(false);
  });
});

function queueOf(files: number, settings: Partial<ArchiverSettings>) {
  const queue = temporaryDirectory();
  for (let at = 1; at <= files; at++) writeFileSync(join(queue, `00000001000000000000000${at}`), 'xx');
  const deps = { settings: { l_archivedir: queue, ...settings } } as ArchiverDeps;
  return { lane: { queue, name: 's1' } as Lane, deps };
}

describe('the space in a queue', () => {
  test('ends at queue_max, counted in files', async () => {
    const { lane, deps } = queueOf(2, { queue_max: { kind: 'files', files: 2 } });
    await expect(requireRoom(deps, lane, 1)).rejects.toThrow('its queue holds 2 files (queue_max)');
  });

  test('ends at queue_max, counted in bytes', async () => {
    const { lane, deps } = queueOf(2, { queue_max: { kind: 'bytes', bytes: 6 } });
    expect(await requireRoom(deps, lane, 2)).toEqual({ files: 3, bytes: 6 });
    await expect(requireRoom(deps, lane, 3)).rejects.toThrow('0 MB of 0 MB (queue_max)');
  });

  test('can be granted by a remembered count, but never refused by it', async () => {
    const { lane, deps } = queueOf(2, { queue_max: { kind: 'files', files: 3 } });
    expect(await requireRoom(deps, lane, 2, { files: 0, bytes: 0 })).toEqual({ files: 1, bytes: 2 });
    expect(await requireRoom(deps, lane, 2, { files: 9, bytes: 18 })).toMatchObject({ files: 3 });
  });

  test('ends at queue_min_free', async () => {
    const { lane, deps } = queueOf(0, { queue_min_free: Number.MAX_SAFE_INTEGER });
    await expect(requireRoom(deps, lane, 1)).rejects.toThrow('(queue_min_free)');
  });

  test('has no limit without a key in the INI file, and then no file is examined', async () => {
    const { lane, deps } = queueOf(0, {});
    expect(await requireRoom(deps, { ...lane, queue: '/no such directory' }, 1)).toBeUndefined();
  });
});

const noSpace = Object.assign(new Error('full'), { code: 'ENOSPC' });
const full = new PitrError('no room', { cause: noSpace });
const lane = { standby: { ssh_timeout: 10 } } as Lane;

describe('with queue_full: abandon, a queue that', () => {
  test.each([
    ['has just become full', 0, 0, 'wait'],
    ['is full, and the standby took a file a moment ago', 9, 1, 'wait'],
    ['is full, and the standby has been silent for ssh_timeout', 10, 10, 'give-up'],
    ['has just become full, of a standby that has long been down', 0, 3600, 'give-up'],
    ['has been full for a minute, though the standby takes files', 60, 1, 'give-up'],
  ])('%s', (_, fullS, silentS, answer) => {
    const fullness = { fullSinceMs: ago(fullS), silentSinceMs: ago(silentS) };
    expect(answerFull({ queue_full: 'abandon' }, lane, full, fullness, now)).toBe(answer);
    expect(answerFull({ queue_full: 'block' }, lane, full, fullness, now)).toBe('block');
  });

  test('is broken and not full does not abandon its standby', () => {
    const fullness = { fullSinceMs: 0, silentSinceMs: 0 };
    const broken = new PitrError('no permission');
    expect(answerFull({ queue_full: 'abandon' }, lane, broken, fullness, now)).toBe('block');
  });

  test('was in trouble before the last boot, or only by the time of day, gets more time', () => {
    const sinceMoment = { boot: 'another', ms: 0 };
    const since = '1970-01-01T00:00:00Z';
    for (const state of [{ health: 'unsafe', sinceMoment } as const, { health: 'unsafe', since } as const]) {
      const fullness = fullnessOf(clock, state, false);
      expect(answerFull({ queue_full: 'abandon' }, lane, full, fullness, now)).toBe('wait');
    }
  });
});

test('the state file shows since when there has been trouble', () => {
  const sinceMoment = { boot: 'this', ms: ago(30) };
  const seen = (state: LaneState, gotThrough: boolean) => fullnessOf(clock, state, gotThrough);
  const nothing = { fullSinceMs: now, silentSinceMs: now };
  expect(seen({ health: 'ok', sinceMoment }, false)).toEqual(nothing);
  expect(seen(troubleFor(30), false)).toEqual({ ...nothing, silentSinceMs: ago(30) });
  expect(seen({ health: 'unsafe', sinceMoment }, true)).toEqual({ ...nothing, fullSinceMs: ago(30) });
  expect(seen({ health: 'unsafe' }, false)).toEqual(nothing);
});

describe('an error during shipping', () => {
  test('is reported with its own text', () => {
    const error = new PitrError('cannot read', { detail: 'EIO' });
    expect(reasonOf(error)).toBe('cannot read (EIO)');
    const log = textLog({ debug: false }, () => {
      throw new Error('nothing is to be logged');
    });
    expect(troubleOfError(log, error)).toEqual({ kind: 'failed', reason: 'cannot read (EIO)' });
  });

  test('is logged with its stack if nobody expected it', () => {
    const lines: string[] = [];
    const log = textLog({ debug: false }, (text) => lines.push(text));
    expect(troubleOfError(log, new TypeError('x is undefined'))).toMatchObject({ reason: 'x is undefined' });
    expect(lines.join('')).toContain('this is a bug');
  });
});

test('a full queue takes no room for a file that it holds already', async () => {
  const root = temporaryDirectory();
  const queue = join(root, 's1');
  mkdirSync(queue);
  const [source, other] = await Promise.all(
    ['000000010000000000000001', '000000010000000000000002'].map((name) => walFile(root, name, name)),
  );
  linkSync(source?.path ?? '', join(queue, '000000010000000000000001'));
  const settings = { queue_max: { kind: 'files', files: 1 }, l_archivedir: root } as ArchiverSettings;
  const deps = { settings } as ArchiverDeps;
  const lane = { name: 's1', queue } as Lane;
  await queueWithinLimits(deps, lane, plainCopy(source as WalFile));
  await expect(queueWithinLimits(deps, lane, plainCopy(other as WalFile))).rejects.toThrow('(queue_max)');
});

import { expect, test } from 'vitest';
import { PitrError } from '../../../../../../src/errors.ts';
import { failureOf } from '../../../../../../src/standby/actions/failover/drill/failure.ts';
import type { StandbyDeps } from '../../../../../../src/standby/deps.ts';

const errors: string[] = [];
const log = { error: (message: string) => errors.push(message) };
const deps = { log, signal: new AbortController().signal } as unknown as StandbyDeps;
const notStarted = new PitrError('the standby was stopped for a drill, and cannot be started again');
const well = () => Promise.resolve();

test('a standby that a drill cannot start again is a failure to be recorded and notified', async () => {
  errors.length = 0;
  expect(await failureOf(deps, well, () => Promise.reject(notStarted))).toBe(notStarted);
  expect(errors).toEqual([]);
  const first = new PitrError('the copy has failed');
  const found = await failureOf(
    deps,
    () => Promise.reject(first),
    () => Promise.reject(notStarted),
  );
  expect(found).toBe(notStarted);
  expect(errors).toEqual(['the drill has failed: the copy has failed']);
});

test('a full disk is a failure of the drill, and no bug', async () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, mkdir'), { code: 'ENOSPC' });
  expect(await failureOf(deps, () => Promise.reject(full), well)).toMatchObject({
    name: 'PitrError',
    message: full.message,
  });
  const bug = Object.assign(new TypeError('no path'), { code: 'ERR_INVALID_ARG_TYPE' });
  await expect(failureOf(deps, () => Promise.reject(bug), well)).rejects.toBe(bug);
});

test('after a signal the copy is removed, and the signal is what counts', async () => {
  const end = new AbortController();
  end.abort(new PitrError('stopped by SIGTERM'));
  let isRemoved = false;
  const interrupted = failureOf(
    { ...deps, signal: end.signal },
    () => Promise.reject(end.signal.reason as Error),
    () => {
      isRemoved = true;
      return Promise.resolve();
    },
  );
  await expect(interrupted).rejects.toThrow('stopped by SIGTERM');
  expect(isRemoved).toBe(true);
});

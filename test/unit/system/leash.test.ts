import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { startSession } from '../../../src/system/command.ts';
import { leash, withTimeLimit } from '../../../src/system/leash.ts';
import { eventually } from '../../harness/eventually.ts';

const command = { program: 'sleep', args: ['60'] };
const options = { onLine: () => undefined };

test('a session ends at each of the signals', async () => {
  const one = new AbortController();
  const session = leash(startSession, [new AbortController().signal, one.signal]).startSession(
    command,
    options,
  );
  one.abort();
  expect(await session.ended).toMatchObject({ kind: 'killed' });
});

test('a session that is started after the limit has passed ends at once', async () => {
  const session = leash(startSession, [AbortSignal.abort()]).startSession(command, options);
  const late = new Promise((resolve) => setTimeout(resolve, 5_000, 'it still runs').unref());
  expect(await Promise.race([session.ended, late])).toMatchObject({ kind: 'killed' });
});

test('a time limit comes although the garbage was collected meanwhile', async () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const signal = withTimeLimit(new AbortController().signal, 300);
  const isOver = () => {
    collectGarbage();
    return signal.aborted;
  };
  await eventually(isOver, { limitMs: 5_000 });
  expect(signal.reason).toMatchObject({ name: 'TimeoutError' });
});

test('the given signal comes before the limit', () => {
  const given = new AbortController();
  const signal = withTimeLimit(given.signal, 60_000);
  given.abort(new Error('SIGTERM'));
  expect(signal.reason).toMatchObject({ message: 'SIGTERM' });
});

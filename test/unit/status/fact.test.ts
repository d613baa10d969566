import { expect, test } from 'vitest';
import { look, NotKnown, unknownFacts, viewMs } from '../../../src/status/fact.ts';
import { textLog } from '../../../src/system/log.ts';

const deps = (endMs: number) => ({
  now: () => 5,
  monotonicMs: () => 0,
  log: textLog({ debug: false }, () => undefined),
  endMs,
});

test('a look that fails, or does not end in time, makes its fact unknown', async () => {
  expect(await look(deps(1000), () => Promise.resolve(7))).toEqual({ kind: 'seen', value: 7, atMs: 5 });
  const failing = await look(deps(1000), () => Promise.reject(new Error('EACCES')));
  expect(failing).toEqual({ kind: 'unknown', reason: 'EACCES', atMs: 5 });
  const never = () => new Promise<never>(() => undefined);
  for (const endMs of [10, -1])
    expect(await look(deps(endMs), never)).toMatchObject({ reason: `no answer within ${viewMs / 1000} s` });
});

test('unknown facts are named by their path', async () => {
  const unknown = await look(deps(1000), () => Promise.reject(new NotKnown('why')));
  const seen = await look(deps(1000), () => Promise.resolve({ inner: unknown }));
  expect(unknownFacts({ a: seen, list: [{ name: 'b', queue: unknown }, unknown], n: null })).toEqual([
    { path: 'a.inner', reason: 'why' },
    { path: 'list.b.queue', reason: 'why' },
    { path: 'list.1', reason: 'why' },
  ]);
});

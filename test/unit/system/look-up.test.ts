import { describe, expect, test } from 'vitest';
import type { CommandResult, RunCommand } from '../../../src/system/command.ts';
import { lookUp } from '../../../src/system/look-up.ts';

const saying =
  (result: Partial<CommandResult>): RunCommand =>
  () =>
    Promise.resolve({ kind: 'exited', code: 0, stdout: '', stderr: '', ...result } as CommandResult);

describe('the addresses of a name', () => {
  test('are those that getent says, each once', async () => {
    const stdout = '10.0.0.1       STREAM beta\n10.0.0.1       DGRAM  \nfe80::1        STREAM \nnoise\n';
    expect(await lookUp('beta', 1_000, saying({ stdout }))).toEqual(['10.0.0.1', 'fe80::1']);
  });

  test('of an address is the address itself: nobody is asked', async () => {
    expect(await lookUp('::1', 1_000, saying({ code: 2 }))).toEqual(['::1']);
  });

  test.each<[string, Partial<CommandResult>, RegExp]>([
    ['one that has none', { code: 2 }, /getent knows no address of "beta"/],
    ['a resolver that is silent', { kind: 'timed-out', limitMs: 1_500 }, /no answer within 1.5 s/],
  ])('%s gives an error', async (_, result, message) => {
    await expect(lookUp('beta', 1_500, saying(result))).rejects.toThrow(message);
  });

  test.each<[string, Partial<CommandResult>]>([
    ['there is no getent', { kind: 'not-started', reason: 'ENOENT' }],
    ['it knows no such database', { code: 1 }],
  ])('are looked up here where %s', async (_, result) => {
    expect(await lookUp('localhost', 5_000, saying(result))).toContain('127.0.0.1');
  });
});

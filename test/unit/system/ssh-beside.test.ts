import { expect, test } from 'vitest';
import { startSession } from '../../../src/system/command.ts';
import { type RemoteShell, scriptOf } from '../../../src/system/ssh.ts';
import { besideOf } from '../../../src/system/ssh-beside.ts';

/** A connection whose other end is a shell here. */
const shell = {
  start: (work, options) => startSession({ program: '/bin/sh', args: ['-c', scriptOf(work)] }, options),
} as Pick<RemoteShell, 'start'> as RemoteShell;

test('an answer of several lines is read', async () => {
  expect(await besideOf(shell).run('echo one; echo two; exit 3', { limitMs: 10_000 })).toEqual({
    kind: 'done',
    status: 3,
    lines: ['one', 'two'],
  });
});

test('another host that prints without end is stopped before it fills the memory', async () => {
  const began = Date.now();
  const script = 'yes 0123456789012345678901234567890123456789 | head -n 400000; sleep 20';
  expect(await besideOf(shell).run(script, { limitMs: 15_000 })).toEqual({
    kind: 'lost',
    reason: 'it printed more than allowed, and was stopped',
  });
  expect(Date.now() - began).toBeLessThan(10_000);
});

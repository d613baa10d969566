import { expect, test } from 'vitest';
import type { RemoteShell } from '../../../src/system/ssh.ts';
import { callVerb } from '../../../src/verbs/call.ts';

function shellThatSays(lines: readonly string[]): RemoteShell {
  const shell = {
    target: { what: 'standby b' },
    run: () => Promise.resolve({ kind: 'done', status: 1, lines }),
  };
  return shell as unknown as RemoteShell;
}

test.each([
  [
    ['DEBUG: connecting', 'NOTICE: looking', 'ERROR: it is away', 'HINT: Wait.'],
    'ERROR: it is away HINT: Wait.',
  ],
  [['DEBUG: connecting'], 'DEBUG: connecting'],
  [[], 'exit status 1'],
])('a refusal with the lines %j is shown as %j', async (lines, shown) => {
  const command = { program: '/p', iniFile: '/i' };
  const result = await callVerb(shellThatSays(lines), command, 'status', {}, 1000);
  expect(result).toEqual({ kind: 'refused', reason: `standby b answered "status" with: ${shown}` });
});

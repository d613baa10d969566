import { expect, test } from 'vitest';
import { startSession } from '../../../src/system/command.ts';
import { textLog } from '../../../src/system/log.ts';
import { type SshTarget, withRemoteShell } from '../../../src/system/ssh.ts';

const target: SshTarget = {
  host: 's1',
  what: 'the standby s1',
  user: 'postgres',
  ssh: { program: 'ssh', args: [] },
  connectTimeoutS: 5,
  debug: false,
  allowsNoise: true,
};

/** A host whose start-up file prints this before the shell runs. */
function hostThatPrints(noise: string) {
  return {
    log: textLog({ debug: false }, () => undefined),
    startSession: (_: unknown, options: Parameters<typeof startSession>[1]) =>
      startSession({ program: '/bin/sh', args: ['-c', `printf '${noise}'; exec sh`] }, options),
  };
}

test.each(['', 'welcome\\n', '\\033]0;alpha\\007'])(
  'a program is started there, whatever a start-up file prints: "%s"',
  async (noise) => {
    const used = await withRemoteShell(hostThatPrints(noise), target, async (shell) => {
      const lines: string[] = [];
      const session = shell.start('cat', { onLine: (line) => lines.push(line) });
      session.write('status\n');
      session.close();
      const timer = setTimeout(session.kill, 5_000);
      await session.ended;
      clearTimeout(timer);
      return lines;
    });
    expect(used).toEqual({ kind: 'used', value: ['status'] });
  },
);

import { succeeded } from '../../../system/command.ts';
import { isThisHost } from '../../../system/own-addresses.ts';
import type { RemoteShell } from '../../../system/ssh.ts';
import type { StandbyDeps } from '../../deps.ts';

/**
 * Replaces the shell on the primary's host. It only has to answer whether a directory here is the primary's own. If the
 * primary is this very host, its own shell answers; for any other primary there is no answer.
 */
export async function shellInstead(deps: StandbyDeps): Promise<RemoteShell> {
  const { settings } = deps;
  const isHere = await isThisHost(settings.master_public_ip);
  const ask = async (script: string, limitMs: number): Promise<readonly [number, readonly string[]]> => {
    if (!isHere) return [1, []];
    const result = await deps.run({ program: '/bin/sh', args: ['-c', script] }, { limitMs });
    return [succeeded(result) ? 0 : 1, result.stdout.split('\n')];
  };
  return {
    target: {
      host: settings.master_public_ip,
      what: 'the primary',
      user: settings.user,
      ssh: settings.ssh,
      connectTimeoutS: settings.ssh_timeout,
      debug: settings.ssh_debug,
    },
    run: async (script, { limitMs }) => {
      const [status, lines] = await ask(script, limitMs);
      return { kind: 'done', status, lines };
    },
    start: () => {
      throw new Error('nothing is started on the primary where ssh to it is not allowed');
    },
    rsyncShell: '',
    stderr: () => '',
  };
}

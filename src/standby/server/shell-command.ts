import { readFile } from 'node:fs/promises';
import type { CommandResult } from '../../system/command.ts';
import { withPrivateFile } from '../../system/private-directory.ts';
import type { StandbyDeps } from '../deps.ts';

export interface SiteCommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Further arguments, which no shell reads. */
  readonly args?: readonly string[];
  /** A file that receives the command's pid, and the boot of the host, before the command begins. */
  readonly pidFile?: string;
}

/**
 * Runs one of the site's own commands (`start_command` and the like), which the documentation defines as shell text.
 * Its output goes to a file, because a server that it starts would hold a pipe open forever.
 */
export async function runSiteCommand(
  deps: Pick<StandbyDeps, 'run' | 'log'>,
  command: string,
  limitMs: number,
  options: SiteCommandOptions = {},
): Promise<CommandResult> {
  const { args = [], env, pidFile } = options;
  return withPrivateFile('output', async (file) => {
    const given = args.length > 0 ? ' "$@"' : '';
    const notePid =
      pidFile === undefined ? '' : 'echo "$$" "$(cat /proc/sys/kernel/random/boot_id)" >"$1"\nshift\n';
    const script = `exec >"$1" 2>&1 </dev/null\nshift\n${notePid}${command}${given}\n`;
    const first = pidFile === undefined ? [file] : [file, pidFile];
    const result = await deps.run(
      { program: '/bin/sh', args: ['-c', script, 'sh', ...first, ...args] },
      { limitMs, env, asCaller: true },
    );
    const output = await readFile(file, 'utf8').catch(() => '');
    for (const line of output.split('\n').filter(Boolean)) deps.log.notice(line);
    return { ...result, stderr: `${output}${result.stderr}` };
  });
}

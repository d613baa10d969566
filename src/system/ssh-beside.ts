import { describeResult } from './command.ts';
import { shellQuote } from './shell-quote.ts';
import type { RemoteResult, RemoteShell, RemoteWork } from './ssh.ts';

/** ssh's own status where the connection failed, not the script. */
const sshFailed = 255;

/** The script in a shell of its own session: there it can read standard input. */
export function inShell(work: RemoteWork): RemoteWork {
  const program = (script: string): string => `sh -c ${shellQuote(script)}`;
  return typeof work === 'string' ? program(work) : { ...work, script: program(work.script) };
}

/**
 * The same connection for a script that may take its time: it runs in a session of its own, so that the scripts of the
 * connection do not wait for it, and its time limit ends only itself.
 */
export function besideOf(shell: RemoteShell): RemoteShell {
  const run: RemoteShell['run'] = async (work, { limitMs }): Promise<RemoteResult> => {
    const lines: string[] = [];
    const session = shell.start(inShell(work), { onLine: (line) => lines.push(line) });
    session.close();
    const overdue = new AbortController();
    const timer = setTimeout(() => {
      overdue.abort();
      session.kill();
    }, limitMs);
    const result = await session.ended;
    clearTimeout(timer);
    if (overdue.signal.aborted)
      return { kind: 'lost', reason: `no answer within ${Math.round(limitMs / 1000)} s` };
    if (result.kind === 'exited' && result.code !== sshFailed)
      return { kind: 'done', status: result.code, lines };
    return { kind: 'lost', reason: describeResult(result) };
  };
  return { ...shell, run };
}

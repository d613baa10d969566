import { describeResult } from './command.ts';
import { shellQuote } from './shell-quote.ts';
import { floodReason, maxOutputBytes, type RemoteResult, type RemoteShell, type RemoteWork } from './ssh.ts';

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
  const run: RemoteShell['run'] = async (work, { limitMs, maxOutputBytes: most }): Promise<RemoteResult> => {
    const lines: string[] = [];
    let leftBytes = most ?? maxOutputBytes;
    let lost: string | undefined;
    const giveUp = (reason: string): void => {
      lost ??= reason;
      session.kill();
    };
    const onLine = (line: string): void => {
      leftBytes -= line.length + 1;
      if (leftBytes >= 0) lines.push(line);
      else if (lost === undefined) giveUp(floodReason);
    };
    const session = shell.start(inShell(work), { onLine });
    session.close();
    const timer = setTimeout(giveUp, limitMs, `no answer within ${Math.round(limitMs / 1000)} s`);
    const result = await session.ended;
    clearTimeout(timer);
    if (lost !== undefined) return { kind: 'lost', reason: lost };
    if (result.kind === 'exited' && result.code !== sshFailed)
      return { kind: 'done', status: result.code, lines };
    return { kind: 'lost', reason: describeResult(result) };
  };
  return { ...shell, run };
}

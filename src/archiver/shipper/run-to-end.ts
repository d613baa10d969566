import type { CommandResult, RunCommand, StartSession } from '../../system/command.ts';

/**
 * Runs a command and resolves only when its process is really gone, even one that takes long to die: the file that it
 * reads may be overwritten right afterwards.
 */
export function runToEnd(startSession: StartSession): RunCommand {
  return async (command, options) => {
    const session = startSession(command, { env: options.env, onLine: () => undefined });
    const overdue = new AbortController();
    const timer = setTimeout(() => {
      overdue.abort();
      session.kill();
    }, options.limitMs);
    options.signal?.addEventListener('abort', session.kill, { once: true });
    if (options.signal?.aborted === true) session.kill();
    session.write(options.input ?? '');
    session.close();
    const result: CommandResult = await session.ended;
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', session.kill);
    if (!overdue.signal.aborted) return result;
    return { kind: 'timed-out', limitMs: options.limitMs, stdout: result.stdout, stderr: result.stderr };
  };
}

import { type ChildProcess, spawn } from 'node:child_process';
import { systemClock } from './clock.ts';
import { callersDirectory, type Environment } from './environment.ts';

/** How a hook ended. `left`: it was still running when we stopped waiting for it. */
export type HookEnd =
  | { readonly kind: 'exited'; readonly code: number; readonly stdout: string; readonly stderr: string }
  | { readonly kind: 'timed-out'; readonly limitS: number }
  | { readonly kind: 'not-started'; readonly reason: string }
  | { readonly kind: 'left' };

/** A command of the user's that runs in parallel to us, under a limit of its own that outlives us. */
export interface Hook {
  readonly ended: Promise<HookEnd>;
  /** From now on it runs alone: it does not delay us, or our end. */
  readonly leave: () => void;
}

interface HookCommand {
  /** Shell command text. */
  readonly command: string;
  /** Its further arguments. */
  readonly args: readonly string[];
  readonly env: Environment;
  /** Its standard input; empty if there is none. A command that does not read it is as well. */
  readonly input?: string | undefined;
  readonly limitS: number;
}

export type StartHook = (hook: HookCommand) => Hook;

/** GNU's and busybox's timeout(1) exit with this status when the limit has passed; with 137 if it took a KILL. */
const timedOutCodes = [124, 137, 143];
/** Its clock and ours may differ by that. */
const clockToleranceMs = 100;
const keptChars = 16 * 1024;
const lastWordsMs = 100;

function collect(stream: ChildProcess['stdout'], take: (text: string) => void): void {
  stream?.setEncoding('utf8');
  stream?.on('data', take);
  stream?.on('error', () => undefined);
}

/** By then nobody may read its output any more: SIGPIPE must not end it. */
function commandLine({ command, args, limitS }: HookCommand): string[] {
  const text = `trap '' PIPE\n${command} "$@"`;
  return ['-k', '2', String(limitS), '/bin/sh', '-c', text, 'sh', ...args];
}

function follow(child: ChildProcess, limitS: number): Promise<HookEnd> {
  const said = { stdout: '', stderr: '' };
  const keep = (name: 'stdout' | 'stderr') => (text: string) => {
    said[name] = (said[name] + text).slice(0, keptChars);
  };
  collect(child.stdout, keep('stdout'));
  collect(child.stderr, keep('stderr'));
  return new Promise((resolve) => {
    child.once('error', (error) => {
      resolve({ kind: 'not-started', reason: error.message });
    });
    const { monotonicMs } = systemClock();
    const beganMs = monotonicMs();
    let end: HookEnd | undefined;
    const finish = () => {
      if (end?.kind === 'exited') resolve({ ...end, ...said });
      else if (end !== undefined) resolve(end);
    };
    child.once('exit', (code, signal) => {
      // A command can exit with these by itself: it may contain a timeout(1) of its own.
      const isOver = monotonicMs() - beganMs >= limitS * 1000 - clockToleranceMs;
      const isLate = isOver && timedOutCodes.includes(code ?? 0);
      end = isLate
        ? { kind: 'timed-out', limitS }
        : { kind: 'exited', code: code ?? (signal === null ? 1 : 128), ...said };
      // We do not wait for a descendant that keeps its streams open.
      setTimeout(finish, lastWordsMs);
    });
    child.once('close', finish);
  });
}

/** Starts the hook in a session of its own, with the environment and in the directory in which we were called. */
export const startHook: StartHook = (hook) => {
  const child = spawn('timeout', commandLine(hook), {
    detached: true,
    cwd: callersDirectory(),
    env: { ...process.env, ...hook.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  // Many commands never read it.
  child.stdin.on('error', () => undefined);
  child.stdin.end(hook.input ?? '');
  let leave: () => void = () => undefined;
  const left = new Promise<HookEnd>((resolve) => {
    leave = () => {
      child.unref();
      child.stdin.destroy();
      child.stdout.destroy();
      child.stderr.destroy();
      resolve({ kind: 'left' });
    };
  });
  return { ended: Promise.race([follow(child, hook.limitS), left]), leave };
};

import type { Readable, Writable } from 'node:stream';
import { execa, type Options } from 'execa';
import { callersDirectory, cleanedEnvironment, type Environment } from './environment.ts';

/** A program and its arguments; never a shell command line. */
export interface CommandLine {
  readonly program: string;
  readonly args: readonly string[];
}

export interface RunOptions {
  /** Wall-clock limit in milliseconds; the whole process group is ended when it passes. */
  readonly limitMs: number;
  readonly input?: string | undefined;
  /** Variables beside those of the cleaned environment (environment.ts). */
  readonly env?: Environment | undefined;
  /**
   * For the user's own commands: with the environment and in the directory in which we were called. All others get the cleaned
   * environment and work in `/`, so that nothing depends on who calls us from where.
   */
  readonly asCaller?: boolean | undefined;
  /** Descriptors of ours that the child keeps, as its fd 3, 4, …: a lock that must outlive us. */
  readonly heldFds?: readonly number[] | undefined;
  /**
   * `capture` collects both streams. `inherit` gives the child ours: for a program that leaves a daemon
   * behind, which would hold a pipe open for ever.
   */
  readonly output?: 'capture' | 'inherit' | undefined;
  /** Called for each whole line of standard output as it comes. */
  readonly onLine?: ((line: string) => void) | undefined;
  /** A carriage return ends a line, too: so a program tells its progress. */
  readonly endsLinesAtReturns?: boolean | undefined;
  /** Ends the command (as `killed`) when aborted. */
  readonly signal?: AbortSignal | undefined;
}

interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command ended. All that can be expected of one is a value here, not an exception. */
export type CommandResult = Output &
  (
    | { readonly kind: 'exited'; readonly code: number }
    | { readonly kind: 'killed'; readonly signal: string }
    | { readonly kind: 'timed-out'; readonly limitMs: number }
    | { readonly kind: 'not-started'; readonly reason: string }
  );

export type RunCommand = (command: CommandLine, options: RunOptions) => Promise<CommandResult>;

/** A running command that is spoken to while it runs. */
export interface Session {
  readonly pid: number | undefined;
  /** Writes to its standard input. A session that has ended swallows it: `ended` tells. */
  readonly write: (text: string) => void;
  /** Closes its standard input. */
  readonly close: () => void;
  /** Ends its process group. */
  readonly kill: () => void;
  /** Standard error so far (the last 64 KiB of it). */
  readonly stderr: () => string;
  readonly ended: Promise<CommandResult>;
}

export interface SessionOptions {
  readonly env?: Environment | undefined;
  readonly heldFds?: readonly number[] | undefined;
  readonly onLine: (line: string) => void;
  readonly onErrorLine?: ((line: string) => void) | undefined;
}

export type StartSession = (command: CommandLine, options: SessionOptions) => Session;

/** SIGTERM first, SIGKILL this much later. */
const graceMs = 2_000;
const keptStderr = 64 * 1024;
const neverMs = 2 ** 31 - 1;

/** Process groups that are ours and still run: ended when we exit, whatever the reason. */
const runningGroups = new Set<number>();

function endGroup(pid: number | undefined, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone already: that is what was wanted.
  }
}

/** Ends every command that still runs. For the end of the program; a group that ignores SIGTERM is killed. */
export function endAllCommands(signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): void {
  for (const pid of runningGroups) endGroup(pid, signal);
}

let exitHookInstalled = false;

function track(pid: number | undefined): () => void {
  if (pid === undefined) return () => undefined;
  if (!exitHookInstalled) {
    exitHookInstalled = true;
    process.once('exit', () => {
      endAllCommands();
    });
  }
  runningGroups.add(pid);
  return () => runningGroups.delete(pid);
}

/** Splits a stream of chunks into whole lines. */
function lineSplitter(
  onLine: (line: string) => void,
  lineEnd: string | RegExp = '\n',
): (chunk: string) => void {
  let rest = '';
  return (chunk) => {
    const lines = (rest + chunk).split(lineEnd);
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  };
}

/** What we use of execa's child; its own type depends on options that are known only at run time. */
interface Child {
  readonly pid: number | undefined;
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  readonly done: Promise<Done>;
}

interface Done {
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly originalMessage?: string | undefined;
}

let cleaned: Environment | undefined;

/** Never our own working directory and environment as they are: the one may be gone, or not ours to enter, and the other is anybody's. */
function surroundings({ env, asCaller }: Pick<RunOptions, 'env' | 'asCaller'>) {
  const base = asCaller === true ? process.env : (cleaned ??= cleanedEnvironment(process.env));
  return { extendEnv: false, env: { ...base, ...env }, cwd: asCaller === true ? callersDirectory() : '/' };
}

function spawn(command: CommandLine, options: Omit<RunOptions, 'limitMs' | 'signal'>): Child {
  const output = options.output === 'inherit' ? 'inherit' : 'pipe';
  const settings: Options = {
    // A group of its own, so that it can be ended whole: rsync has children, and ssh is one of them.
    detached: true,
    reject: false,
    buffer: false,
    cleanup: false,
    // execa takes any descriptor here; its types know 0 to 2 only.
    stdio: ['pipe', output, output, ...((options.heldFds ?? []) as readonly 0[])],
    ...surroundings(options),
  };
  const child = execa(command.program, [...command.args], settings);
  // A daemon that it left behind, or an ssh master that was handed its descriptors, may hold the pipes open for ever: they are
  // waited for only a little longer than the process itself.
  child.once('exit', () => {
    setTimeout(() => {
      child.stdout?.destroy();
      child.stderr?.destroy();
    }, graceMs).unref();
  });
  return {
    pid: child.pid,
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    done: Promise.resolve(child),
  };
}

interface Watched {
  readonly stdout: () => string;
  readonly stderr: () => string;
}

function collect(
  child: Child,
  options: Pick<RunOptions, 'onLine' | 'endsLinesAtReturns'>,
  tail: number,
): Watched {
  const out: string[] = [];
  let err = '';
  const splitOut =
    options.onLine === undefined
      ? undefined
      : lineSplitter(options.onLine, options.endsLinesAtReturns === true ? /[\r\n]/ : '\n');
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    if (splitOut === undefined) out.push(chunk);
    else splitOut(chunk);
  });
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    err = (err + chunk).slice(-tail);
  });
  // A child that ends before it has read its input is no news of its own: how it ended is.
  child.stdin?.on('error', () => undefined);
  return { stdout: () => out.join(''), stderr: () => err };
}

type Ending = { kind: 'limit' } | { kind: 'abort' } | { kind: 'stuck' };

/** Resolves with why the command had to be ended, once its group has had SIGTERM, then SIGKILL. */
function guard(child: Child, limitMs: number, signal?: AbortSignal) {
  const timers: NodeJS.Timeout[] = [];
  let ending: Ending | undefined;
  let giveUp: (() => void) | undefined;
  const gaveUp = new Promise<void>((resolve) => {
    giveUp = resolve;
  });
  const end = (why: Ending): void => {
    if (ending !== undefined) return;
    ending = why;
    endGroup(child.pid, 'SIGTERM');
    timers.push(
      setTimeout(() => {
        endGroup(child.pid, 'SIGKILL');
        // Someone who left the group may hold our pipes open for ever: do not wait for them.
        timers.push(setTimeout(() => giveUp?.(), 2 * graceMs));
      }, graceMs),
    );
  };
  const onAbort = (): void => {
    end({ kind: 'abort' });
  };
  timers.push(
    setTimeout(
      () => {
        end({ kind: 'limit' });
      },
      Math.min(limitMs, neverMs),
    ),
  );
  if (signal?.aborted === true) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  return {
    gaveUp,
    ending: () => ending,
    release: () => {
      timers.forEach(clearTimeout);
      signal?.removeEventListener('abort', onAbort);
    },
  };
}

async function resultOf(child: Child, output: () => Output, ending: Ending | undefined, limitMs: number) {
  const done = await Promise.race([child.done, Promise.resolve(undefined)]);
  const text = output();
  if (ending?.kind === 'limit') return { kind: 'timed-out', limitMs, ...text } as const;
  if (ending !== undefined) return { kind: 'killed', signal: 'SIGTERM', ...text } as const;
  if (done?.exitCode !== undefined) return { kind: 'exited', code: done.exitCode, ...text } as const;
  if (done?.signal !== undefined) return { kind: 'killed', signal: done.signal, ...text } as const;
  const reason = done?.originalMessage ?? 'unknown error';
  return { kind: 'not-started', reason, ...text } as const;
}

/** Runs a command to its end, within its limit. Never throws for what the command does. */
export const runCommand: RunCommand = async (command, options) => {
  const child = spawn(command, options);
  const untrack = track(child.pid);
  const output = collect(child, options, Number.POSITIVE_INFINITY);
  child.stdin?.end(options.input ?? '');
  const watch = guard(child, options.limitMs, options.signal);
  try {
    await Promise.race([child.done, watch.gaveUp]);
    const text = () => ({ stdout: output.stdout(), stderr: output.stderr() });
    return await resultOf(child, text, watch.ending(), options.limitMs);
  } finally {
    watch.release();
    untrack();
  }
};

/** Starts a command that is spoken to while it runs. The caller bounds each exchange and ends it. */
export const startSession: StartSession = (command, options) => {
  const child = spawn(command, { heldFds: options.heldFds, env: options.env });
  const untrack = track(child.pid);
  const output = collect(child, options, keptStderr);
  if (options.onErrorLine !== undefined) child.stderr?.on('data', lineSplitter(options.onErrorLine));
  const text = () => ({ stdout: '', stderr: output.stderr() });
  let killed: Ending | undefined;
  const ended = child.done.then(async () => {
    untrack();
    return resultOf(child, text, killed, 0);
  });
  return {
    pid: child.pid,
    write: (input) => {
      if (child.stdin?.writable === true) child.stdin.write(input);
    },
    close: () => {
      child.stdin?.end();
    },
    kill: () => {
      killed ??= { kind: 'abort' };
      endGroup(child.pid, 'SIGTERM');
      setTimeout(() => {
        endGroup(child.pid, 'SIGKILL');
      }, graceMs).unref();
    },
    stderr: output.stderr,
    ended,
  };
};

/** One line that says how a command ended badly, for messages; the last lines of its standard error with it. */
export function describeResult(result: CommandResult): string {
  const tail = result.stderr.trim().split('\n').slice(-5).join('; ');
  const said = tail === '' ? '' : `: ${tail}`;
  switch (result.kind) {
    case 'exited':
      return `exit status ${result.code}${said}`;
    case 'killed':
      return `ended by ${result.signal}${said}`;
    case 'timed-out':
      return `no end within ${Math.round(result.limitMs / 1000)} s${said}`;
    case 'not-started':
      return `could not be started: ${result.reason}`;
  }
}

export function succeeded(result: CommandResult): boolean {
  return result.kind === 'exited' && result.code === 0;
}

/** A command as a person would type it, for logs only. */
export function printable(command: CommandLine): string {
  return [command.program, ...command.args].join(' ');
}

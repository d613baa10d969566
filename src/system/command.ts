import type { Readable, Writable } from 'node:stream';
import { execa, type Options } from 'execa';
import type { CommandLine } from '../command-line.ts';
import { quoted } from './printable.ts';
import { callersDirectory, cleanedEnvironment, type Environment } from './environment.ts';

export type { CommandLine };

interface RunOptions {
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
  /** A command that prints more than so much is ended as `flooded`, 4 MB unless said; with `onLine` only a line's length counts. */
  readonly maxOutputBytes?: number | undefined;
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
    /** It printed more than its output, or a line of it, may have; what came is not its answer. */
    | { readonly kind: 'flooded' }
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
/** rsync names each file there that it could not copy. */
const keptStderrOfRun = 1024 * 1024;
const maxOutputBytes = 4 * 1024 * 1024;
/** Longer than any line that is printed for us to read. */
const longestLine = 1024 * 1024;
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

/** Splits a stream of chunks into whole lines; of one that is too long it keeps nothing. */
function lineSplitter(
  onLine: (line: string) => void,
  onTooLong: () => void,
  lineEnd: string | RegExp = '\n',
): (chunk: string) => void {
  let rest = '';
  return (chunk) => {
    const lines = (rest + chunk).split(lineEnd);
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
    if (rest.length <= longestLine) return;
    rest = '';
    onTooLong();
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

type Reading = Pick<RunOptions, 'onLine' | 'endsLinesAtReturns' | 'maxOutputBytes'>;

/** Takes the chunks of standard output, as lines or whole, up to their bound. */
function outputReader(options: Reading, out: string[], onFlood: () => void): (chunk: string) => void {
  if (options.onLine !== undefined)
    return lineSplitter(options.onLine, onFlood, options.endsLinesAtReturns === true ? /[\r\n]/ : '\n');
  let left = options.maxOutputBytes ?? maxOutputBytes;
  return (chunk) => {
    left -= chunk.length;
    if (left >= 0) out.push(chunk);
    else onFlood();
  };
}

function collect(child: Child, options: Reading, tail: number, onFlood: () => void): Watched {
  const out: string[] = [];
  let err = '';
  child.stdout?.setEncoding('utf8').on('data', outputReader(options, out, onFlood));
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    err = (err + chunk).slice(-tail);
  });
  // A child that ends before it has read its input is no news of its own: how it ended is.
  child.stdin?.on('error', () => undefined);
  return { stdout: () => out.join(''), stderr: () => err };
}

type Ending = { kind: 'limit' } | { kind: 'abort' } | { kind: 'flood' };

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
    end,
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
  if (ending?.kind === 'flood') return { kind: 'flooded', ...text } as const;
  if (ending !== undefined) return { kind: 'killed', signal: 'SIGTERM', ...text } as const;
  if (done?.exitCode !== undefined) return { kind: 'exited', code: done.exitCode, ...text } as const;
  if (done?.signal !== undefined) return { kind: 'killed', signal: done.signal, ...text } as const;
  const reason = done?.originalMessage ?? 'unknown error';
  return { kind: 'not-started', reason, ...text } as const;
}

/** A NUL ends every word that a program is given: with one inside, no program can be started. */
function whyNeverStarted(
  { program, args }: CommandLine,
  { env }: Pick<RunOptions, 'env'>,
): string | undefined {
  const words = [program, ...args, ...Object.entries(env ?? {}).flat()];
  const bad = words.find((word) => word.includes('\0'));
  return bad === undefined ? undefined : `a word for it holds a NUL: "${quoted(bad)}"`;
}

/** Runs a command to its end, within its limit. Never throws for what the command does. */
export const runCommand: RunCommand = async (command, options) => {
  const reason = whyNeverStarted(command, options);
  if (reason !== undefined) return { kind: 'not-started', reason, stdout: '', stderr: '' };
  const child = spawn(command, options);
  const untrack = track(child.pid);
  const watch = guard(child, options.limitMs, options.signal);
  const output = collect(child, options, keptStderrOfRun, () => {
    watch.end({ kind: 'flood' });
  });
  child.stdin?.end(options.input ?? '');
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
  let killed: Ending | undefined;
  const kill = (why: Ending): void => {
    killed ??= why;
    endGroup(child.pid, 'SIGTERM');
    setTimeout(() => {
      endGroup(child.pid, 'SIGKILL');
    }, graceMs).unref();
  };
  const flood = (): void => {
    kill({ kind: 'flood' });
  };
  const output = collect(child, options, keptStderr, flood);
  if (options.onErrorLine !== undefined) child.stderr?.on('data', lineSplitter(options.onErrorLine, flood));
  const text = () => ({ stdout: '', stderr: output.stderr() });
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
      kill({ kind: 'abort' });
    },
    stderr: output.stderr,
    ended,
  };
};

/** One line that says how a command ended badly, for messages; the last lines of its standard error with it. */
export function describeResult(result: CommandResult): string {
  const tail = quoted(result.stderr.trim().split('\n').slice(-5).join('; '), 2000);
  const said = tail === '' ? '' : `: ${tail}`;
  switch (result.kind) {
    case 'exited':
      return `exit status ${result.code}${said}`;
    case 'killed':
      return `ended by ${result.signal}${said}`;
    case 'timed-out':
      return `no end within ${Math.round(result.limitMs / 1000)} s${said}`;
    case 'flooded':
      return `it printed more than it may, and was ended${said}`;
    case 'not-started':
      return `could not be started: ${result.reason}`;
  }
}

export function succeeded(result: CommandResult): boolean {
  return result.kind === 'exited' && result.code === 0;
}

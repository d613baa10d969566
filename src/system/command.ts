import type { Readable, Writable } from 'node:stream';
import { execa, type Options } from 'execa';
import type { CommandLine } from '../command-line.ts';
import { longestTimerMs } from './clock.ts';
import { callersDirectory, cleanedEnvironment, type Environment } from './environment.ts';
import { quoted } from './printable.ts';

export type { CommandLine };

interface RunOptions {
  /** Wall-clock limit in milliseconds. When it has passed, the whole process group is ended. */
  readonly limitMs: number;
  readonly input?: string | undefined;
  /** Variables in addition to those of the cleaned environment (environment.ts). */
  readonly env?: Environment | undefined;
  /**
   * For the user's own commands: they get the environment and directory in which we were called. All others get the
   * cleaned environment and work in `/`, so that nothing depends on who calls us from where.
   */
  readonly asCaller?: boolean | undefined;
  /** Descriptors of ours that the child keeps, as its fd 3, 4, …, for example a lock that must outlive us. */
  readonly heldFds?: readonly number[] | undefined;
  /**
   * `capture` collects both streams. `inherit` gives the child our streams: for a program that leaves a daemon
   * behind, which would hold a pipe open forever.
   */
  readonly output?: 'capture' | 'inherit' | undefined;
  /**
   * A command that prints more than this is ended as `flooded`; 4 MB by default. With `onLine` only the length of a
   * line counts.
   */
  readonly maxOutputBytes?: number | undefined;
  /** Called for each complete line of standard output as it arrives. */
  readonly onLine?: ((line: string) => void) | undefined;
  /** A carriage return ends a line as well: programs use it to show progress. */
  readonly endsLinesAtReturns?: boolean | undefined;
  /** Ends the command (as `killed`) when aborted. */
  readonly signal?: AbortSignal | undefined;
}

interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command ended. Everything that can be expected is a value here, not an exception. */
export type CommandResult = Output &
  (
    | { readonly kind: 'exited'; readonly code: number }
    | { readonly kind: 'killed'; readonly signal: string }
    | { readonly kind: 'timed-out'; readonly limitMs: number }
    /** It printed more than its output, or a line of it, may have. The output is not its answer. */
    | { readonly kind: 'flooded' }
    | { readonly kind: 'not-started'; readonly reason: string }
  );

export type RunCommand = (command: CommandLine, options: RunOptions) => Promise<CommandResult>;

/** A running command to which we write while it runs. */
export interface Session {
  readonly pid: number | undefined;
  /** Writes to its standard input. Does nothing if the session has ended; see `ended`. */
  readonly write: (input: string | Uint8Array) => void;
  /** Undefined if its standard input takes more; else it settles once it does, or the program has ended. */
  readonly whenRoom: () => Promise<void> | undefined;
  /** Reads no more of its output until then: a program that writes more has to wait. */
  readonly holdOutput: (until: Promise<void>) => void;
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
/** rsync names there each file that it could not copy. */
const keptStderrOfRun = 1024 * 1024;
const maxOutputBytes = 4 * 1024 * 1024;
/** Longer than any line that is printed for us to read. */
const longestLine = 1024 * 1024;

/** Process groups of ours that still run. We end them when we exit, for whatever reason. */
const runningGroups = new Set<number>();

function endGroup(pid: number | undefined, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone already, as intended.
  }
}

/** Ends every command that still runs, at the end of the program. A group that ignores SIGTERM is killed. */
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

/** Splits a stream of chunks into complete lines. It keeps nothing of a line that is too long. */
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

/** The part of execa's child that we use; its own type depends on options that are known only at run time. */
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

/**
 * Never our own working directory and environment: the directory may be gone or closed to us, and the environment may
 * contain anything.
 */
function surroundings({ env, asCaller }: Pick<RunOptions, 'env' | 'asCaller'>) {
  const base = asCaller === true ? process.env : (cleaned ??= cleanedEnvironment(process.env));
  return { extendEnv: false, env: { ...base, ...env }, cwd: asCaller === true ? callersDirectory() : '/' };
}

function spawn(command: CommandLine, options: Omit<RunOptions, 'limitMs' | 'signal'>): Child {
  const output = options.output === 'inherit' ? 'inherit' : 'pipe';
  const settings: Options = {
    // A group of its own can be ended as a whole: rsync has children, and ssh is one of them.
    detached: true,
    reject: false,
    buffer: false,
    cleanup: false,
    // execa accepts any descriptor here; its types know only 0 to 2.
    stdio: ['pipe', output, output, ...((options.heldFds ?? []) as readonly 0[])],
    ...surroundings(options),
  };
  const child = execa(command.program, [...command.args], settings);
  // A daemon that the command left behind, or an ssh master with its descriptors, may hold the pipes open forever: we
  // wait for the pipes only a little longer than for the process.
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

type Reading = Pick<RunOptions, 'onLine' | 'endsLinesAtReturns' | 'maxOutputBytes'>;

/** Collects the chunks of standard output, as lines or as a whole, up to their limit. */
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

function collect(child: Child, options: Reading, tail: number, onFlood: () => void) {
  const out: string[] = [];
  let err = '';
  child.stdout?.setEncoding('utf8').on('data', outputReader(options, out, onFlood));
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    err = (err + chunk).slice(-tail);
  });
  // If a child ends before it has read its input, only how it ended matters.
  child.stdin?.on('error', () => undefined);
  return { stdout: () => out.join(''), stderr: () => err };
}

type Ending = 'limit' | 'abort' | 'flood';

/** Resolves with the reason why the command had to be ended, once its group has received SIGTERM, then SIGKILL. */
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
        // A process that left the group may hold our pipes open forever: we do not wait for them.
        timers.push(setTimeout(() => giveUp?.(), 2 * graceMs));
      }, graceMs),
    );
  };
  const onAbort = (): void => {
    end('abort');
  };
  timers.push(setTimeout(end, Math.min(limitMs, longestTimerMs), 'limit'));
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
  if (ending === 'limit') return { kind: 'timed-out', limitMs, ...text } as const;
  if (ending === 'flood') return { kind: 'flooded', ...text } as const;
  if (ending !== undefined) return { kind: 'killed', signal: 'SIGTERM', ...text } as const;
  if (done?.exitCode !== undefined) return { kind: 'exited', code: done.exitCode, ...text } as const;
  if (done?.signal !== undefined) return { kind: 'killed', signal: done.signal, ...text } as const;
  const reason = done?.originalMessage ?? 'unknown error';
  return { kind: 'not-started', reason, ...text } as const;
}

/** Runs a command in our place: it has our standard streams, and stays in our process group. */
export async function runInPlace({ program, args }: CommandLine, directory: string): Promise<number> {
  const { exitCode } = await execa(program, [...args], {
    reject: false,
    stdio: 'inherit',
    ...surroundings({}),
    cwd: directory,
  });
  return exitCode ?? 1;
}

/** A NUL ends every argument of a program: with one inside, no program can be started. */
function whyNeverStarted(
  { program, args }: CommandLine,
  { env }: Pick<RunOptions, 'env'>,
): string | undefined {
  const words = [program, ...args, ...Object.entries(env ?? {}).flat()];
  const bad = words.find((word) => word.includes('\0'));
  return bad === undefined ? undefined : `one of its arguments contains a NUL: "${quoted(bad)}"`;
}

/** Runs a command to its end, within its limit. Never throws because of what the command does. */
export const runCommand: RunCommand = async (command, options) => {
  const reason = whyNeverStarted(command, options);
  if (reason !== undefined) return { kind: 'not-started', reason, stdout: '', stderr: '' };
  const child = spawn(command, options);
  const untrack = track(child.pid);
  const watch = guard(child, options.limitMs, options.signal);
  const output = collect(child, options, keptStderrOfRun, () => {
    watch.end('flood');
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

const waiting = new WeakMap<Writable, Promise<void>>();

/** Undefined if a stream has room for more; else it settles once there is room, or nobody reads it any more. */
export function whenRoom(stream: Writable): Promise<void> | undefined {
  if (!stream.writableNeedDrain) return undefined;
  const known = waiting.get(stream);
  if (known !== undefined) return known;
  const events = ['drain', 'close', 'error'];
  const room = new Promise<void>((resolve) => {
    const settle = (): void => {
      for (const event of events) stream.off(event, settle);
      waiting.delete(stream);
      resolve();
    };
    for (const event of events) stream.on(event, settle);
  });
  waiting.set(stream, room);
  return room;
}

/**
 * Starts a command and lets the caller write to it while it runs. The caller limits each exchange and ends the
 * command.
 */
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
    kill('flood');
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
    whenRoom: () => (child.stdin === null ? undefined : whenRoom(child.stdin)),
    holdOutput: (until) => {
      child.stdout?.pause();
      void until.then(() => child.stdout?.resume());
    },
    close: () => {
      child.stdin?.end();
    },
    kill: () => {
      kill('abort');
    },
    stderr: output.stderr,
    ended,
  };
};

/** One line for messages that says how a command failed, with the last lines of its standard error. */
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
      return `it printed more than allowed, and was stopped${said}`;
    case 'not-started':
      return `could not be started: ${result.reason}`;
  }
}

export function succeeded(result: CommandResult): boolean {
  return result.kind === 'exited' && result.code === 0;
}

import { randomBytes } from 'node:crypto';
import { messageOf } from '../errors.ts';
import { longestTimerMs } from './clock.ts';
import {
  type CommandLine,
  type CommandResult,
  describeResult,
  type Session,
  type SessionOptions,
  type StartSession,
} from './command.ts';
import { cleanShellLine } from './environment.ts';
import type { Log } from './log.ts';
import { quoted } from './printable.ts';
import { withPrivateFile } from './private-directory.ts';
import {
  frame,
  marker,
  openingOf,
  readServed,
  refusalMark,
  refusedStatus,
  type Served,
  sessionWord,
} from './served.ts';
import { rsyncShellOption } from './shell-quote.ts';
import { cipherOptions } from './ssh-cipher.ts';

/** A host to connect to, with the user's own ssh command, whose flags take precedence over ours. */
export interface SshTarget {
  readonly host: string;
  /** The name of the host in messages, such as `the primary`. */
  readonly what: string;
  readonly user: string;
  readonly ssh: CommandLine;
  readonly connectTimeoutS: number;
  readonly debug: boolean;
  /** Much is sent over it: its cipher should take little time. */
  readonly isForMuch?: boolean;
  /** Continue although a start-up file of the login prints text: only for a question whose answer matters more. */
  readonly allowsNoise?: boolean;
}

export type RemoteResult =
  | { readonly kind: 'done'; readonly status: number; readonly lines: readonly string[] }
  | { readonly kind: 'lost'; readonly reason: string };

/** Work for another host. A script alone is done by a full shell only. */
export type RemoteWork =
  | string
  | {
      /** POSIX sh. */
      readonly script: string;
      /** The line that asks for the same where the key is restricted (verbs/requests.ts). */
      readonly request: string;
    };

export interface RemoteOptions {
  /** Wall-clock limit in milliseconds. A script that exceeds it ends the whole connection. */
  readonly limitMs: number;
  readonly onLine?: ((line: string) => void) | undefined;
  /** A script that prints more ends the whole connection; 4 MB by default. */
  readonly maxOutputBytes?: number | undefined;
}

/** One kept connection to a host. */
export interface RemoteShell {
  readonly target: SshTarget;
  /** The rights of the key; undefined if it has a shell. */
  readonly served?: Served | undefined;
  /**
   * Does it without standard input. Calls wait for each other. Work that a restricted key does not allow ends with
   * `refusedStatus` and a line that says so.
   */
  readonly run: (work: RemoteWork, options: RemoteOptions) => Promise<RemoteResult>;
  /**
   * Starts a program over the same connection: the script is its words, quoted for sh. Text written to the session is
   * its standard input.
   */
  readonly start: (work: RemoteWork, options: SessionOptions) => Session;
  /** The command of a session for this request of a restricted key: its output may be anything. */
  readonly requestCommand?: (request: string) => CommandLine;
  /** The value for rsync's `-e` that makes it use this connection. */
  readonly rsyncShell: string;
  /** Standard error of the connection so far, for messages. */
  readonly stderr: () => string;
}

export type ConnectResult<T> =
  | { readonly kind: 'used'; readonly value: T }
  /** `said`: all that ssh printed; `reason` is the end of it. */
  | { readonly kind: 'unreachable'; readonly reason: string; readonly said?: string }
  /** A start-up file of the login there prints text, which would mix with the output of every program. */
  | { readonly kind: 'noisy'; readonly reason: string };

export const noiseHint =
  'A login that is not interactive must not print anything: let ~/.bashrc or the like print only if [ -t 1 ]. This command must print nothing: ssh USER@HOST true';

interface SshDeps {
  readonly startSession: StartSession;
  readonly log: Log;
  /** Called once ssh was started. */
  readonly onStarted?: () => void;
}

/** Runs `use` with one connection to the target, and always ends the connection afterwards. */
export type WithRemoteShell = <T>(
  deps: SshDeps,
  target: SshTarget,
  use: (shell: RemoteShell) => Promise<T>,
) => Promise<ConnectResult<T>>;

/** `user@host`, with the brackets that an IPv6 address needs before a path. */
export function rsyncHost(target: SshTarget): string {
  return `${target.user}@${target.host.includes(':') ? `[${target.host}]` : target.host}`;
}

/**
 * ssh with the arguments that all our connections share, and options of one's own. ssh takes the first value of an
 * option: the user's flags come first.
 */
function sshCommand(target: SshTarget, own: readonly string[]): CommandLine {
  const options = [
    'BatchMode=yes',
    `ConnectTimeout=${target.connectTimeoutS}`,
    'StrictHostKeyChecking=accept-new',
    'ServerAliveInterval=5',
    'ServerAliveCountMax=3',
    'ClearAllForwardings=yes',
    'ForwardAgent=no',
    ...(target.debug ? [] : ['LogLevel=ERROR']),
    ...own,
  ].flatMap((option) => ['-o', option]);
  const { program, args } = target.ssh;
  return { program, args: [...args, ...(target.debug ? ['-v'] : []), '-T', '-l', target.user, ...options] };
}

/** The command that starts a shell on the target or, where the key is restricted, makes a request. */
function loginCommand(target: SshTarget, own: readonly string[], remote = sessionWord): CommandLine {
  const { program, args } = sshCommand(target, own);
  return { program, args: [...args, target.host, remote] };
}

interface Exchange {
  readonly nonce: string;
  readonly isOpening: boolean;
  readonly lines: string[];
  /** The number of bytes that it may still print. */
  leftBytes: number;
  readonly onLine: ((line: string) => void) | undefined;
  readonly finish: (result: RemoteResult) => void;
}

export const maxOutputBytes = 4 * 1024 * 1024;
export const floodReason = 'it printed more than allowed, and was stopped';

export function scriptOf(work: RemoteWork): string {
  return typeof work === 'string' ? work : work.script;
}

/** The text that asks for it; undefined if the key does not allow it. */
function textOf(work: RemoteWork, nonce: string, served: Served | undefined): string | undefined {
  if (served === undefined) return frame(scriptOf(work), nonce);
  return typeof work === 'string' ? undefined : `${nonce} ${work.request}\n`;
}

/** Why the other end of a restricted key did not do it; undefined if it did, or has a shell. */
export function refusalOf(result: RemoteResult): string | undefined {
  if (result.kind === 'lost' || result.status !== refusedStatus) return undefined;
  const line = result.lines.find((each) => each.startsWith(refusalMark));
  return line === undefined ? undefined : quoted(line.slice(refusalMark.length));
}

const notServed = `${refusalMark}the key for it is restricted, and does not allow this`;

/**
 * Talks to a shell, or to the program of a restricted key: one piece of work at a time, each ended by a line with its nonce
 * and status.
 */
export function scriptChannel(session: () => Pick<Session, 'write' | 'kill'>) {
  let served: Served | undefined;
  let current: Exchange | undefined;
  let tail: Promise<unknown> = Promise.resolve();
  let lost: string | undefined;

  const onLine = (line: string): void => {
    if (current === undefined) return;
    current.leftBytes -= line.length + 1;
    if (current.leftBytes < 0) {
      lose(floodReason);
      session().kill();
      return;
    }
    const [mark, nonce, status, ...rest] = line.split(' ');
    if (mark === marker && nonce === current.nonce) {
      // The marker follows a line feed: output without one cannot hide it.
      if (current.lines.at(-1) === '') current.lines.pop();
      if (current.isOpening) noteServed(rest);
      current.finish({ kind: 'done', status: Number(status), lines: current.lines });
    } else if (current.onLine === undefined) current.lines.push(line);
    else current.onLine(line);
  };

  const lose = (reason: string): void => {
    lost ??= reason;
    current?.finish({ kind: 'lost', reason: lost });
  };

  const noteServed = (words: readonly string[]): void => {
    try {
      served = readServed(words);
    } catch (error) {
      lose(`the program there is not understood: ${messageOf(error)}`);
      session().kill();
    }
  };

  const exchange = async (
    work: RemoteWork | { readonly opening: true },
    options: RemoteOptions,
  ): Promise<RemoteResult> => {
    if (lost !== undefined) return { kind: 'lost', reason: lost };
    const nonce = randomBytes(12).toString('hex');
    const isOpening = typeof work === 'object' && 'opening' in work;
    const text = isOpening ? openingOf(nonce) : textOf(work, nonce, served);
    if (text === undefined) return { kind: 'done', status: refusedStatus, lines: [notServed] };
    let timer: NodeJS.Timeout | undefined;
    const result = await new Promise<RemoteResult>((finish) => {
      const leftBytes = options.maxOutputBytes ?? maxOutputBytes;
      current = { nonce, isOpening, lines: [], leftBytes, onLine: options.onLine, finish };
      timer = setTimeout(
        () => {
          lose(`no answer within ${Math.round(options.limitMs / 1000)} s`);
          session().kill();
        },
        Math.min(options.limitMs, longestTimerMs),
      );
      session().write(text);
    });
    clearTimeout(timer);
    current = undefined;
    return result;
  };

  const inTurn = (work: Parameters<typeof exchange>[0], options: RemoteOptions): Promise<RemoteResult> => {
    const result = tail.then(() => exchange(work, options));
    tail = result;
    return result;
  };
  return {
    onLine,
    lose,
    /** Comes first, and shows what the other end is. */
    open: (options: RemoteOptions) => inTurn({ opening: true }, options),
    run: (work: RemoteWork, options: RemoteOptions) => inTurn(work, options),
    served: () => served,
  };
}

/**
 * Replaces the remote `sh` by another program. dash reads its input in blocks: input that arrives before sh has gone
 * would be lost in its buffer. We therefore write nothing until sh announces the change, in a line of its own: a start-up
 * file may have printed text without a line feed.
 */
function startRemoteProgram(
  start: (onLine: (line: string) => void) => Session,
  program: string,
  onLine: (line: string) => void,
): Session {
  const ready = randomBytes(12).toString('hex');
  const waiting: (string | Uint8Array)[] = [];
  let state: 'waiting' | 'open' = 'waiting';
  let closed = false;
  const session = start((line) => {
    if (state === 'open') onLine(line);
    else if (line === ready) {
      state = 'open';
      for (const input of waiting) session.write(input);
      if (closed) session.close();
    }
  });
  session.write(`${cleanShellLine}\nprintf '\\n${ready}\\n'; exec ${program}\n`);
  return {
    ...session,
    write: (input) => {
      if (state === 'open') session.write(input);
      else waiting.push(input);
    },
    close: () => {
      closed = true;
      if (state === 'open') session.close();
    },
  };
}

/** In place of a program that a restricted key does not allow. */
const refusedSession: Session = {
  pid: undefined,
  write: () => undefined,
  whenRoom: () => undefined,
  holdOutput: () => undefined,
  close: () => undefined,
  kill: () => undefined,
  stderr: () => notServed,
  ended: Promise.resolve({ kind: 'exited', code: refusedStatus, stdout: '', stderr: notServed }),
};

/** The reason why a connection ended, in ssh's own words if there are any. */
function lossReason(result: CommandResult): string {
  const said = result.stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('debug'));
  const isExplained = said.length > 0 && result.kind !== 'flooded';
  return isExplained
    ? quoted(said.slice(-3).join('; '))
    : `ssh: ${describeResult({ ...result, stderr: '' })}`;
}

/** The limit for a whole login: ssh's own ConnectTimeout does not cover authentication. */
function loginLimitMs(target: SshTarget): number {
  return (target.connectTimeoutS + 2) * 1000;
}

/** The user's flags come before these as before all others, and ssh takes the first value. */
async function ciphersFor({ startSession }: SshDeps, target: SshTarget): Promise<readonly string[]> {
  if (target.isForMuch !== true) return [];
  const { program, args } = sshCommand(target, []);
  return cipherOptions(startSession, {
    configured: { program, args: [...args, '-G', target.host] },
    builtIn: { program, args: [...args, '-F', 'none', '-G', target.host] },
  });
}

async function openShell(deps: SshDeps, target: SshTarget, socket: string) {
  const path = `ControlPath=${socket}`;
  const own = await ciphersFor(deps, target);
  const command = loginCommand(target, ['ControlMaster=yes', path, 'ControlPersist=no', ...own]);
  deps.log.debug(`connecting: ${[command.program, ...command.args].join(' ')}`);
  const onErrorLine = target.debug
    ? (line: string) => {
        deps.log.debug(line);
      }
    : undefined;
  const channel = scriptChannel(() => session);
  const session: Session = deps.startSession(command, { onLine: channel.onLine, onErrorLine });
  deps.onStarted?.();
  void session.ended.then((result) => {
    channel.lose(lossReason(result));
  });
  const shared = ['ControlMaster=no', path];
  const client = sshCommand(target, shared);
  const shell: RemoteShell = {
    target,
    get served() {
      return channel.served();
    },
    run: channel.run,
    start: (work, options) => {
      if (channel.served() !== undefined) {
        if (typeof work === 'string') return refusedSession;
        return deps.startSession(loginCommand(target, shared, work.request), options);
      }
      return startRemoteProgram(
        (onLine) => deps.startSession(loginCommand(target, shared), { ...options, onLine }),
        scriptOf(work),
        options.onLine,
      );
    },
    requestCommand: (request) => loginCommand(target, shared, request),
    rsyncShell: rsyncShellOption([client.program, ...client.args]),
    stderr: session.stderr,
  };
  const answer = await channel.open({ limitMs: loginLimitMs(target) });
  return { shell, session, answer };
}

function noiseReason(lines: readonly string[]): string {
  return `a start-up file of the login there prints "${quoted(lines.join('\n'), 200)}" before our script ran`;
}

export const withRemoteShell: WithRemoteShell = (deps, target, use) =>
  withPrivateFile('socket', async (socket) => {
    const { shell, session, answer } = await openShell(deps, target, socket);
    try {
      if (answer.kind === 'lost')
        return { kind: 'unreachable', reason: answer.reason, said: session.stderr() };
      if (answer.lines.length > 0 && target.allowsNoise !== true) {
        return { kind: 'noisy', reason: noiseReason(answer.lines) };
      }
      return { kind: 'used', value: await use(shell) };
    } finally {
      session.close();
      session.kill();
      await session.ended;
    }
  });

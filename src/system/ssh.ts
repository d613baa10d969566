import { randomBytes } from 'node:crypto';
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
import { rsyncShellOption } from './shell-quote.ts';

/** A host to connect to, with the user's own ssh command, whose flags take precedence over ours. */
export interface SshTarget {
  readonly host: string;
  /** The name of the host in messages, such as `the primary`. */
  readonly what: string;
  readonly user: string;
  readonly ssh: CommandLine;
  readonly connectTimeoutS: number;
  readonly debug: boolean;
  /** Continue although a start-up file of the login prints text: only for a question whose answer matters more. */
  readonly allowsNoise?: boolean;
}

export type RemoteResult =
  | { readonly kind: 'done'; readonly status: number; readonly lines: readonly string[] }
  | { readonly kind: 'lost'; readonly reason: string };

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
  /** Runs a POSIX sh script without standard input. Calls wait for each other. */
  readonly run: (script: string, options: RemoteOptions) => Promise<RemoteResult>;
  /** Starts a program (quoted for sh) over the same connection. Text written to the session is its standard input. */
  readonly start: (program: string, options: SessionOptions) => Session;
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

/** The command that starts a shell on the target. */
function loginCommand(target: SshTarget, own: readonly string[]): CommandLine {
  const { program, args } = sshCommand(target, own);
  return { program, args: [...args, target.host, 'sh'] };
}

interface Exchange {
  readonly nonce: string;
  readonly lines: string[];
  /** The number of bytes that it may still print. */
  leftBytes: number;
  readonly onLine: ((line: string) => void) | undefined;
  readonly finish: (result: RemoteResult) => void;
}

const marker = '@pitrtools';
const maxOutputBytes = 4 * 1024 * 1024;

/** Talks to the remote `sh`: one script at a time, each ended by a line with its nonce and status. */
function scriptChannel(session: () => Session) {
  let current: Exchange | undefined;
  let tail: Promise<unknown> = Promise.resolve();
  let lost: string | undefined;

  const onLine = (line: string): void => {
    if (current === undefined) return;
    current.leftBytes -= line.length + 1;
    if (current.leftBytes < 0) {
      lose('it printed more than allowed, and was stopped');
      session().kill();
      return;
    }
    const [mark, nonce, status] = line.split(' ');
    if (mark === marker && nonce === current.nonce) {
      // The marker follows a line feed: output without one cannot hide it.
      if (current.lines.at(-1) === '') current.lines.pop();
      current.finish({ kind: 'done', status: Number(status), lines: current.lines });
    } else if (current.onLine === undefined) current.lines.push(line);
    else current.onLine(line);
  };

  const lose = (reason: string): void => {
    lost ??= reason;
    current?.finish({ kind: 'lost', reason: lost });
  };

  const exchange = async (script: string, options: RemoteOptions): Promise<RemoteResult> => {
    if (lost !== undefined) return { kind: 'lost', reason: lost };
    const nonce = randomBytes(12).toString('hex');
    let timer: NodeJS.Timeout | undefined;
    const result = await new Promise<RemoteResult>((finish) => {
      const leftBytes = options.maxOutputBytes ?? maxOutputBytes;
      current = { nonce, lines: [], leftBytes, onLine: options.onLine, finish };
      timer = setTimeout(() => {
        lose(`no answer within ${Math.round(options.limitMs / 1000)} s`);
        session().kill();
      }, options.limitMs);
      session().write(`(\n${script}\n) </dev/null\nprintf '\\n${marker} ${nonce} %s\\n' "$?"\n`);
    });
    clearTimeout(timer);
    current = undefined;
    return result;
  };

  const run = (script: string, options: RemoteOptions): Promise<RemoteResult> => {
    const result = tail.then(() => exchange(script, options));
    tail = result;
    return result;
  };
  return { onLine, lose, run };
}

/**
 * Replaces the remote `sh` by another program. dash reads its input in blocks: input that arrives before sh has gone
 * would be lost in its buffer. We therefore write nothing until sh announces the change.
 */
function startRemoteProgram(
  start: (onLine: (line: string) => void) => Session,
  program: string,
  onLine: (line: string) => void,
): Session {
  const ready = randomBytes(12).toString('hex');
  const waiting: string[] = [];
  let state: 'waiting' | 'open' = 'waiting';
  let closed = false;
  const session = start((line) => {
    if (state === 'open') onLine(line);
    else if (line === ready) {
      state = 'open';
      for (const text of waiting) session.write(text);
      if (closed) session.close();
    }
  });
  session.write(`${cleanShellLine}\nprintf '${ready}\\n'; exec ${program}\n`);
  return {
    ...session,
    write: (text) => {
      if (state === 'open') session.write(text);
      else waiting.push(text);
    },
    close: () => {
      closed = true;
      if (state === 'open') session.close();
    },
  };
}

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

async function openShell(deps: SshDeps, target: SshTarget, socket: string) {
  const path = `ControlPath=${socket}`;
  const command = loginCommand(target, ['ControlMaster=yes', path, 'ControlPersist=no']);
  deps.log.debug(`connecting: ${[command.program, ...command.args].join(' ')}`);
  const onErrorLine = target.debug
    ? (line: string) => {
        deps.log.debug(line);
      }
    : undefined;
  const channel = scriptChannel(() => session);
  const session: Session = deps.startSession(command, { onLine: channel.onLine, onErrorLine });
  void session.ended.then((result) => {
    channel.lose(lossReason(result));
  });
  const shared = ['ControlMaster=no', path];
  const client = sshCommand(target, shared);
  const shell: RemoteShell = {
    target,
    run: channel.run,
    start: (program, options) =>
      startRemoteProgram(
        (onLine) => deps.startSession(loginCommand(target, shared), { ...options, onLine }),
        program,
        options.onLine,
      ),
    rsyncShell: rsyncShellOption([client.program, ...client.args]),
    stderr: session.stderr,
  };
  // A login there may set variables that change the work of our scripts, just as one here.
  session.write(`${cleanShellLine}\n`);
  const answer = await channel.run('umask 077', { limitMs: loginLimitMs(target) });
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

import { type CommandLine, type CommandResult, describeResult } from './command.ts';
import { moduleName } from './rsync-daemon.ts';
import { shellQuote } from './shell-quote.ts';
import { type RemoteShell, rsyncHost } from './ssh.ts';

export interface RsyncProgram {
  readonly rsync: CommandLine;
  /** The user's own flags come after ours: rsync lets the last one win. */
  readonly flags: readonly string[];
  /** 2 for rsync 2.x, which has no `--protect-args`. */
  readonly version: 2 | 3;
}

/** The command that runs as rsync at the other end, according to the user's flags: for the shell there. */
export function remoteRsync(flags: readonly string[]): string {
  const index = flags.findIndex((flag) => flag.startsWith('--rsync-path'));
  const flag = flags[index];
  if (flag === undefined) return 'rsync';
  return flag === '--rsync-path' ? (flags[index + 1] ?? 'rsync') : flag.slice('--rsync-path='.length);
}

/** The exit statuses of rsync that we distinguish (manual, "EXIT VALUES"). */
export type RsyncOutcome =
  /** `vanished`: 24, files vanished while it ran. Harmless only while a live data directory is copied. */
  | { readonly kind: 'whole' | 'vanished' }
  /**
   * `partial`: 23, some files were not transferred; `no-space`: 11, for example a full disk or an exceeded quota at the
   * receiver.
   */
  | { readonly kind: 'partial' | 'no-space' | 'timeout' | 'failed'; readonly reason: string };

const partialTransfer = 23;
const vanishedFiles = 24;
const ioTimeouts = new Set([30, 35]);

export function rsyncOutcome(result: CommandResult): RsyncOutcome {
  const reason = `rsync: ${describeResult(result)}`;
  if (result.kind === 'timed-out') return { kind: 'timeout', reason };
  if (result.kind !== 'exited') return { kind: 'failed', reason };
  if (result.code === 0) return { kind: 'whole' };
  if (/No space left on device|Disk quota exceeded/.test(result.stderr)) return { kind: 'no-space', reason };
  if (result.code === vanishedFiles) return { kind: 'vanished' };
  if (result.code === partialTransfer) return { kind: 'partial', reason };
  if (ioTimeouts.has(result.code)) return { kind: 'timeout', reason };
  return { kind: 'failed', reason };
}

/**
 * A directory at the other end, protected from the shell there: by rsync itself from 3.0 on, otherwise by our quoting. Where
 * the key is restricted to the side of the data, it is a module of rsync's daemon.
 */
export function remotePath(shell: RemoteShell, program: RsyncProgram, path: string): string {
  if (shell.served?.side === 'data') return `${rsyncHost(shell.target)}::${moduleName(path)}`;
  const isQuoted = program.version === 2 && shell.served === undefined;
  return `${rsyncHost(shell.target)}:${isQuoted ? shellQuote(path) : path}`;
}

/**
 * Variables for rsync. From 3.2.4 it quotes paths for the remote shell by itself unless a variable forbids it. If the
 * other end is an rsync 2.x, we quote, and quoting twice would be wrong. An older rsync ignores the variables.
 */
export function rsyncEnvironment(program: RsyncProgram): Readonly<Record<string, string>> {
  return program.version === 2 ? { RSYNC_OLD_ARGS: '1', RSYNC_PROTECT_ARGS: '0' } : {};
}

/**
 * With a key that is restricted to an archive the options stand on the command line, where the other end reads them. It refuses links,
 * directories, devices and modes, which no WAL needs, and starts its own rsync.
 */
const servedFlags = 's R r l p o g D'
  .split(' ')
  .map((letter) => `--no-${letter}`)
  .concat('--rsync-path=rsync');

/** A restricted key has the rsync of the program there, whatever the user's flags name. */
function withoutPath(flags: readonly string[]): readonly string[] {
  return flags.filter(
    (flag, index) => !flag.startsWith('--rsync-path') && flags[index - 1] !== '--rsync-path',
  );
}

/** The arguments that every transfer over a kept connection has. */
export function rsyncCommand(
  shell: RemoteShell,
  program: RsyncProgram,
  timeoutS: number,
  args: readonly string[],
): CommandLine {
  const side = shell.served?.side;
  const ownWay = program.version === 2 || side === 'archive' ? [] : ['-s'];
  const common = ['-e', shell.rsyncShell, `--timeout=${timeoutS}`, ...ownWay];
  const flags = side === 'data' ? withoutPath(program.flags) : program.flags;
  const last =
    side === 'archive' ? servedFlags.filter((flag) => program.version !== 2 || flag !== '--no-s') : [];
  return {
    program: program.rsync.program,
    args: [...program.rsync.args, ...common, ...flags, ...last, ...args],
  };
}

/** Whether the user's flags let rsync compress. */
export function compresses(flags: readonly string[]): boolean {
  return flags.some((flag) => flag === '--compress' || /^-[^-BTMef@]*z/.test(flag));
}

/**
 * Flags that make the compression in the user's flags cheap: on a fast link its default level takes more time than it
 * saves. None if there is no compression, or if the user has chosen how to compress.
 */
export function lightCompression(flags: readonly string[]): readonly string[] {
  const isChosen = flags.some((flag) =>
    /^--(zl|zc|compress-[a-z]+|no-z|no-compress|(old|new)-compress)(=|$)/.test(flag),
  );
  return compresses(flags) && !isChosen ? ['--compress-level=1'] : [];
}

const flagOfTheWay =
  /^(?:-[zvqWh]+|--(?:compress|verbose|quiet|whole-file|no-whole-file|stats|human-readable)|--(?:compress-level|zl|compress-choice|zc|skip-compress|timeout|contimeout)=.*)$/;

/** Whether a flag changes only how the bytes travel. What others do to a file, only rsync does. */
export function isOfTheWay(flag: string): boolean {
  return flagOfTheWay.test(flag);
}

/** Removes compression from flags of the way. */
export function withoutCompression(flags: readonly string[]): readonly string[] {
  return flags.flatMap((flag) => {
    if (/^--(?:compress|zl|zc|skip-compress)/.test(flag)) return [];
    if (!/^-[^-]/.test(flag)) return [flag];
    const letters = flag.replaceAll('z', '');
    return letters === '-' ? [] : [letters];
  });
}

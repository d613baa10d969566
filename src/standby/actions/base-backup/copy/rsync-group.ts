import { realpath } from 'node:fs/promises';
import type { CommandLine, CommandResult } from '../../../../system/command.ts';
import { writePrivately } from '../../../../system/files.ts';
import { withPrivateFile } from '../../../../system/private-directory.ts';
import { remotePath, rsyncCommand, rsyncEnvironment } from '../../../../system/rsync.ts';
import type { RemoteShell } from '../../../../system/ssh.ts';
import { type BackupContext, needed } from '../context.ts';
import type { Comparison } from './comparison.ts';
import { type Compression, compressionFlags } from './compression.ts';
import type { FileGroup } from './groups.ts';
import { politeCommand, politeRsyncPath } from './politeness.ts';
import type { RsyncAbility } from './rsync-ability.ts';
import { parseProgress, type RsyncProgress } from './rsync-output.ts';

/** rsync gives up if no data moves for this long. A slow disk may be busy with one large file for a while. */
const leastIoTimeoutS = 120;

/**
 * Changed files are rewritten in place. No server can start here before the end, the next run resumes an interrupted
 * file, and no file needs space for a second copy. Directories are made, and get their modes, before.
 */
const copyFlags = ['-a', '--no-specials', '--no-devices', '--no-implied-dirs', '-O', '--inplace', '--from0'];

/**
 * The list names no directories. From 3.2.5 on rsync compares each name that arrives with every name of the list: if the
 * names could be directories, with twice as many.
 */
const noDirectories = '--no-d';

/** rsync prints its progress after each file: small files come faster than anybody reads. */
const progressEveryMs = 50;

const comparisonFlags = { times: ['--modify-window=-1'], contents: ['--ignore-times'] } as const;

export interface GroupCopy {
  readonly shell: RemoteShell;
  readonly group: FileGroup;
  readonly comparison: Comparison;
  readonly compression: Compression | undefined;
  /** In KiB per second, for this rsync. */
  readonly bwlimit: number | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: RsyncProgress) => void;
  /** Called for every other line that rsync prints. */
  readonly onLine: (line: string) => void;
}

/**
 * A changed file is compared page by page, because a server writes pages. With the larger blocks that rsync would
 * choose, each changed page would transfer its neighbours as well, and searching for moved blocks would cost more than
 * that.
 */
function blockFlags({ program }: RsyncAbility): readonly string[] {
  const isChosen = program.flags.some((flag) => /^(-[^-]*B|--block-size)/.test(flag));
  return isChosen ? [] : ['--block-size=8192'];
}

/** Needs rsync 3.1. It ignores files that were removed after the list was made. */
function modernFlags({ hasProgress }: RsyncAbility): readonly string[] {
  return hasProgress ? ['--ignore-missing-args', '--info=progress2', '--no-human-readable'] : [];
}

function groupCommand(
  { facts, deps }: BackupContext,
  copy: GroupCopy,
  list: string,
  target: string,
): CommandLine {
  const rsync = needed(facts.rsync, 'rsync');
  const { program, comparesNanoseconds } = rsync;
  const { root } = copy.group;
  const comparison = comparesNanoseconds ? comparisonFlags[copy.comparison] : comparisonFlags.contents;
  const timeoutS = Math.max(leastIoTimeoutS, deps.settings.ssh_timeout);
  const command = rsyncCommand(copy.shell, program, timeoutS, [
    ...copyFlags,
    noDirectories,
    ...comparison,
    ...modernFlags(rsync),
    ...compressionFlags(copy.compression),
    ...blockFlags(rsync),
    ...(copy.bwlimit === undefined ? [] : [`--bwlimit=${copy.bwlimit}`]),
    ...politeRsyncPath(deps.settings, program.flags),
    ...(deps.settings.debug ? ['-v'] : []),
    '--stats',
    `--files-from=${list}`,
    `${remotePath(copy.shell, program, root.source)}/`,
    `${target}/`,
  ]);
  return politeCommand(deps.settings, facts, command);
}

/** Each path begins with `./`, so that rsync takes no name for a comment or a flag. */
function listOf({ files }: FileGroup): Buffer {
  return Buffer.from(files.map(({ path }) => `./${path}\0`).join(''), 'latin1');
}

/** Copies a group of files by one rsync. A failure of rsync is a result and throws nothing. */
export async function runGroup(context: BackupContext, copy: GroupCopy): Promise<CommandResult> {
  const { deps, facts } = context;
  let updatedMs = -Infinity;
  const onLine = (line: string): void => {
    const progress = parseProgress(line);
    if (progress !== undefined) {
      const nowMs = deps.monotonicMs();
      if (nowMs - updatedMs < progressEveryMs) return;
      updatedMs = nowMs;
      copy.onProgress(progress);
      return;
    }
    copy.onLine(line);
    // Each update of the progress ends with an empty line.
    if (deps.settings.debug && line.trim() !== '') deps.report(line);
  };
  return withPrivateFile('files', async (list) => {
    await writePrivately(list, listOf(copy.group));
    // rsync 3.5 follows no symbolic link of another owner.
    const target = await realpath(copy.group.root.target);
    const command = groupCommand(context, copy, list, target);
    deps.log.debug(`${command.program} ${command.args.join(' ')}`);
    return deps.run(command, {
      limitMs: deps.settings.base_backup_timeout * 1000,
      env: rsyncEnvironment(needed(facts.rsync, 'rsync').program),
      signal: copy.signal,
      heldFds: deps.lockFd === undefined ? [] : [deps.lockFd],
      endsLinesAtReturns: true,
      onLine,
    });
  });
}

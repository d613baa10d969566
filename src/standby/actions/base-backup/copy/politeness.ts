import type { StandbySettings } from '../../../../config/options-standby.ts';
import type { CommandLine } from '../../../../system/command.ts';
import type { BackupFacts } from '../facts.ts';

type Throttles = Pick<StandbySettings, 'basebackup_nice' | 'basebackup_ionice'>;

/** The words in front of a command that lower its priority: nice(1) for the processor, ionice(1) for the disk. */
function politeWords({ basebackup_nice, basebackup_ionice }: Throttles): readonly string[] {
  const nice = basebackup_nice === 0 ? [] : ['nice', '-n', String(basebackup_nice)];
  if (basebackup_ionice === 'off') return nice;
  // -t: on a kernel without such classes the command must run all the same.
  const ionice = basebackup_ionice === 'idle' ? ['-c', '3'] : ['-c', '2', '-n', basebackup_ionice];
  return [...nice, 'ionice', '-t', ...ionice];
}

/** The same for rsync on the primary, unless the user's flags name the program there. */
export function politeRsyncPath(settings: Throttles, flags: readonly string[]): readonly string[] {
  const words = politeWords(settings);
  if (words.length === 0 || flags.some((flag) => flag.startsWith('--rsync-path'))) return [];
  return [`--rsync-path=${[...words, 'rsync'].join(' ')}`];
}

/** The local rsync. If setpriv(1) is available, rsync ends with us even if we are killed. */
export function politeCommand(
  settings: Throttles,
  { diesWithParent }: Pick<BackupFacts, 'diesWithParent'>,
  { program, args }: CommandLine,
): CommandLine {
  const bound = diesWithParent ? ['setpriv', '--pdeathsig', 'TERM', '--'] : [];
  const [first, ...rest] = [...bound, ...politeWords(settings), program, ...args];
  return { program: first ?? program, args: rest };
}

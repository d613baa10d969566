import type { StandbySettings } from '../../../../config/options-standby.ts';
import type { CommandLine } from '../../../../system/command.ts';
import type { BackupFacts } from '../facts.ts';

type Throttles = Pick<StandbySettings, 'basebackup_nice' | 'basebackup_ionice'>;

/** The words before a command that make it wait for others: for the processor by nice(1), for the disk by ionice(1). */
function politeWords({ basebackup_nice, basebackup_ionice }: Throttles): readonly string[] {
  const nice = basebackup_nice === 0 ? [] : ['nice', '-n', String(basebackup_nice)];
  if (basebackup_ionice === 'off') return nice;
  // -t: a kernel that has no such classes is no reason to do nothing.
  const ionice = basebackup_ionice === 'idle' ? ['-c', '3'] : ['-c', '2', '-n', basebackup_ionice];
  return [...nice, 'ionice', '-t', ...ionice];
}

/** The same for rsync on the primary, unless the user says what runs there. */
export function politeRsyncPath(settings: Throttles, flags: readonly string[]): readonly string[] {
  const words = politeWords(settings);
  if (words.length === 0 || flags.some((flag) => flag.startsWith('--rsync-path'))) return [];
  return [`--rsync-path=${[...words, 'rsync'].join(' ')}`];
}

/** The local rsync: it also ends with us where setpriv(1) can see to that, however we end. */
export function politeCommand(
  settings: Throttles,
  { diesWithParent }: Pick<BackupFacts, 'diesWithParent'>,
  { program, args }: CommandLine,
): CommandLine {
  const bound = diesWithParent ? ['setpriv', '--pdeathsig', 'TERM', '--'] : [];
  const [first, ...rest] = [...bound, ...politeWords(settings), program, ...args];
  return { program: first ?? program, args: rest };
}

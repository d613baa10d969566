import type { StandbySettings } from '../../../../config/options-standby.ts';
import type { CommandLine } from '../../../../system/command.ts';
import { politeSessionWords, politeWords } from '../../../host/politeness.ts';
import type { BackupFacts } from '../facts.ts';

type Throttles = Pick<StandbySettings, 'basebackup_nice' | 'basebackup_ionice'>;

/** The words for rsync on the primary, unless the user's flags name the program there. */
export function politeRsyncPath(
  { basebackup_nice, basebackup_ionice }: Throttles,
  flags: readonly string[],
): readonly string[] {
  const words = politeWords(basebackup_nice, basebackup_ionice);
  if (words.length === 0 || flags.some((flag) => flag.startsWith('--rsync-path'))) return [];
  return [`--rsync-path=${[...words, 'rsync'].join(' ')}`];
}

/** The local rsync. If setpriv(1) is available, rsync ends with us even if we are killed. */
export function politeCommand(
  { basebackup_nice, basebackup_ionice }: Throttles,
  { diesWithParent }: Pick<BackupFacts, 'diesWithParent'>,
  { program, args }: CommandLine,
): CommandLine {
  const bound = diesWithParent ? ['setpriv', '--pdeathsig', 'TERM', '--'] : [];
  const [first, ...rest] = [
    ...bound,
    ...politeSessionWords(basebackup_nice, basebackup_ionice),
    program,
    ...args,
  ];
  return { program: first ?? program, args: rest };
}

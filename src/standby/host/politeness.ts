/** How commands leave the processor and the disks to others. */
import { sessionWords } from '../../system/session-priority.ts';

/** As in the INI file: a number of 0 to 7 means the priority of that level. */
export type DiskPriority = 'off' | 'idle' | '0' | '1' | '2' | '3' | '4' | '5' | '6' | '7';

/** The arguments of ionice(1); empty if nothing is wanted. */
export function ioniceFlags(priority: DiskPriority): readonly string[] {
  if (priority === 'off') return [];
  return priority === 'idle' ? ['-c', '3'] : ['-c', '2', '-n', priority];
}

/** The words in front of a command that lower its priority: nice(1) for the processor, ionice(1) for the disk. */
export function politeWords(niceness: number, priority: DiskPriority): readonly string[] {
  const nice = niceness === 0 ? [] : ['nice', '-n', String(niceness)];
  const ionice = ioniceFlags(priority);
  // -t: on a kernel without such classes the command must run all the same.
  return ionice.length === 0 ? nice : [...nice, 'ionice', '-t', ...ionice];
}

/** The same for a command of this host: each of them has a session of its own. */
export function politeSessionWords(niceness: number, priority: DiskPriority): readonly string[] {
  return [...sessionWords(niceness), ...politeWords(niceness, priority)];
}

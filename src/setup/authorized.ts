/** The lines of authorized_keys that let the other hosts in. Pure. */
import { keyOptions } from '../system/served.ts';
import type { SetupFacts } from './facts.ts';
import { keyText, type PublicKey, sideOf } from './public-key.ts';

type Here = Pick<SetupFacts, 'programs' | 'places'>;

/** The program that sshd is to run for a key, here or on another host: both have them at the same place. */
export function programFor({ programs, places }: Here, key: PublicKey): { program: string; ini: string } {
  return sideOf(key) === 'archive'
    ? { program: programs.cmd_standby.path, ini: places.standbyIni }
    : { program: programs.cmd_archiver.path, ini: places.archiverIni };
}

/** This is the one place where such a line gets its form. Each host is to be able to change roles: hence --roles. */
export function authorizedLine(here: Here, key: PublicKey): string {
  return `${keyOptions(programFor(here, key), true)} ${keyText(key)}`;
}

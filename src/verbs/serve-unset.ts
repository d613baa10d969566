/**
 * A restricted key on a host that is not set up yet: its line in authorized_keys comes before the INI file that it names.
 * The other host sees that its key is let in, and why nothing is done for it.
 */
import { join, resolve } from 'node:path';
import type { ProgramDeps } from '../system/program-deps.ts';
import { programRoot } from '../system/program-root.ts';
import { servedVersion } from '../system/served.ts';
import { keyInput, serveKey } from './serve-key.ts';

export const noIniReason = (iniFile: string): string => `there is no ${iniFile} yet: --setup makes it`;

/** @returns the exit status of the session */
export async function serveUnset(
  deps: ProgramDeps,
  program: 'cmd_archiver' | 'cmd_standby',
  iniFile: string,
  roles: boolean,
): Promise<number> {
  const ini = resolve(iniFile);
  const refused = noIniReason(ini);
  return serveKey(keyInput(deps, program, undefined), {
    served: {
      version: servedVersion,
      side: program === 'cmd_archiver' ? 'data' : 'archive',
      roles,
      program: join(programRoot(), 'bin', program),
      ini,
    },
    closed: refused,
  });
}

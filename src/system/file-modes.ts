import { stat } from 'node:fs/promises';
import { exitCodes, PitrError } from '../errors.ts';

interface Modes {
  readonly mode: number;
  readonly gid: number;
}

/** The group of a file counts as others only if we are not in it. */
function letsOthers({ mode, gid }: Modes, bit: 0o2 | 0o4): boolean {
  if ((mode & bit) !== 0) return true;
  const groups = [process.getegid?.(), ...(process.getgroups?.() ?? [])];
  return (mode & (bit << 3)) !== 0 && !groups.includes(gid);
}

/** Whether other users may change a file, or the entries of a directory. */
export const letsOthersWrite = (modes: Modes): boolean => letsOthers(modes, 0o2);

export const octalMode = ({ mode }: { readonly mode: number }): string =>
  (mode & 0o7777).toString(8).padStart(4, '0');

/**
 * The permission of an INI file that others must not have, with the command that removes it. Undefined if there is
 * none.
 */
export async function findOpenIni(file: string, hasSecret: boolean): Promise<PitrError | undefined> {
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) return undefined;
  const refuse = (what: string, change: string): PitrError =>
    new PitrError(`${what} "${file}" (mode ${octalMode(found)})`, {
      hint: `chmod ${change} ${file}`,
      exitCode: exitCodes.configuration,
    });
  if (letsOthersWrite(found)) return refuse('other users can change the commands that we run, in', 'go-w');
  if (hasSecret && letsOthers(found, 0o4)) return refuse('other users can read the password in', '0600');
  return undefined;
}

/** Root can change every file. Any other owner but us can change the commands that we run, whatever the mode is. */
export async function findForeignOwner(file: string): Promise<PitrError | undefined> {
  const found = await stat(file).catch(() => undefined);
  const me = process.geteuid?.();
  if (found === undefined || found.uid === 0 || found.uid === me) return undefined;
  return new PitrError(
    `another user, with the id ${found.uid}, owns "${file}", and can change the commands that we run`,
    { hint: `As root: chown ${me ?? 'USER'} ${file}`, exitCode: exitCodes.configuration },
  );
}

import type { StandbySettings } from '../../../config/options-standby.ts';
import { writePrivately } from '../../../system/files.ts';
import { withPrivateFile } from '../../../system/private-directory.ts';

type Access = Pick<StandbySettings, 'repl_db_password' | 'sslmode'>;

/** One line of libpq's password file: colons and backslashes are escaped (manual, section "The Password File"). */
export function passFileLine(role: string, password: string): string {
  const escaped = (text: string) => text.replaceAll(/[\\:]/g, '\\$&');
  return `*:*:*:${escaped(role)}:${escaped(password)}\n`;
}

/**
 * Gives libpq's programs what they need in their environment. The password of the INI lies in a file that only we can read, in a
 * directory of ours, for as long as `use` runs; without one, the user's own `.pgpass` decides.
 */
export async function withAccess<T>(
  { repl_db_password: password, sslmode }: Access,
  role: string,
  use: (env: Readonly<Record<string, string>>) => Promise<T>,
): Promise<T> {
  return withPrivateFile('passwords', async (file) => {
    if (password !== undefined) await writePrivately(file, passFileLine(role, password));
    const own: Record<string, string> = password === undefined ? {} : { PGPASSFILE: file };
    return use({
      ...own,
      PGSSLMODE: sslmode,
      PGCONNECT_TIMEOUT: '10',
      PGAPPNAME: 'pitrtools',
      LC_ALL: 'C',
    });
  });
}

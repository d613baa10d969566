import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeDeadSocketDirectories } from '../../system/ssh.ts';
import type { StandbySettings } from '../../config/options-standby.ts';

type Access = Pick<StandbySettings, 'repl_db_password' | 'sslmode'>;

/** One line of libpq's password file: colons and backslashes are escaped (manual, section "The Password File"). */
export function passFileLine(role: string, password: string): string {
  const escaped = (text: string) => text.replaceAll(/[\\:]/g, '\\$&');
  return `*:*:*:${escaped(role)}:${escaped(password)}\n`;
}

/**
 * What libpq's programs need in their environment. The password of the INI lies in a file that only we can read, in a
 * directory of ours, for as long as `use` runs; without one, the user's own `.pgpass` decides.
 */
export async function withAccess<T>(
  { repl_db_password: password, sslmode }: Access,
  role: string,
  use: (env: Readonly<Record<string, string>>) => Promise<T>,
): Promise<T> {
  // Named like the directories of ssh's sockets: what a killed run leaves is removed by the next connection.
  await removeDeadSocketDirectories();
  const directory = await mkdtemp(join(tmpdir(), `pitrtools-${process.pid}-`));
  try {
    const file = join(directory, 'passwords');
    if (password !== undefined) await writeFile(file, passFileLine(role, password), { mode: 0o600 });
    const own: Record<string, string> = password === undefined ? {} : { PGPASSFILE: file };
    return await use({
      ...own,
      PGSSLMODE: sslmode,
      PGCONNECT_TIMEOUT: '10',
      PGAPPNAME: 'pitrtools',
      LC_ALL: 'C',
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The configuration files of this host's server, wherever it has them. */
import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { settingsIn } from '../../postgres/settings-file.ts';
import { settingsWithIncluded } from '../../system/included-settings.ts';

const textOf = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');

/**
 * postgresql.conf, pg_hba.conf and pg_ident.conf, whatever their names are. Debian keeps them outside of the data directory;
 * elsewhere the server is started with the directory of its configuration, which names that of its data.
 */
export async function configurationFiles(pgdata: string): Promise<readonly string[]> {
  // Its words are in quotes, in which nothing is escaped. A relative path counts from where the server was started: unknown here.
  const started = await textOf(join(pgdata, 'postmaster.opts'));
  const options = [...started.matchAll(/"(?:--)?([a-z_-]+)=(\/[^"]+)"/g)].map(
    ([, name = '', value = '']) => [name.replaceAll('-', '_'), value] as const,
  );
  const directory = /"-D(?:" ")?(\/[^"]+)"/.exec(started)?.[1] ?? pgdata;
  const configFile = new Map(options).get('config_file') ?? join(directory, 'postgresql.conf');
  // The later ones count.
  const settings = new Map([
    ...(await settingsWithIncluded(await textOf(configFile), dirname(configFile))),
    ...settingsIn(await textOf(join(pgdata, 'postgresql.auto.conf'))),
    ...options,
  ]);
  const others = [
    settings.get('hba_file') ?? join(directory, 'pg_hba.conf'),
    settings.get('ident_file') ?? join(directory, 'pg_ident.conf'),
  ];
  return [configFile, ...others].filter(isAbsolute).map((path) => resolve(path));
}

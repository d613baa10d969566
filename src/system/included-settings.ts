import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { parseSettings, type SettingsLine } from '../postgres/settings-file.ts';

/** Deeper than this the server refuses to read (manual, section "Configuration File Contents"). */
const deepest = 10;

/** Like the server: the regular files `*.conf` that are not hidden, in the order of the C locale. */
async function filesInDirectory(directory: string): Promise<readonly string[]> {
  const names = (await readdir(directory).catch(() => []))
    .filter((name) => name.endsWith('.conf') && !name.startsWith('.'))
    .map((name) => Buffer.from(name))
    .sort((one, other) => Buffer.compare(one, other));
  const paths = names.map((name) => join(directory, name.toString()));
  const areFiles = await Promise.all(paths.map((path) => isFile(path)));
  return paths.filter((_, index) => areFiles[index]);
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === true;
}

/** A setting, and the file that has it. */
export interface PlacedSetting {
  readonly name: string;
  readonly value: string;
  readonly file: string;
}

async function addSettings(
  settings: PlacedSetting[],
  lines: readonly SettingsLine[],
  includer: string,
  depth: number,
): Promise<void> {
  for (const line of lines) {
    if (line.kind === 'setting') settings.push({ name: line.name, value: line.value, file: includer });
    if (line.kind !== 'include' || line.path === '' || depth >= deepest) continue;
    const path = resolve(dirname(includer), line.path);
    const files = line.directive === 'include_dir' ? await filesInDirectory(path) : [path];
    for (const file of files) {
      // The server itself reports a file that it cannot read.
      const text = await readFile(file, 'utf8').catch(() => '');
      await addSettings(settings, parseSettings(text), file, depth + 1);
    }
  }
}

/** As the next function, every one of them, in the order in which the server reads them. */
export async function settingsInOrder(text: string, file: string): Promise<readonly PlacedSetting[]> {
  const settings: PlacedSetting[] = [];
  await addSettings(settings, parseSettings(text), file, 0);
  return settings;
}

/**
 * The settings in a configuration file and in all files that it includes, by lower-case name. Debian's file includes
 * `conf.d`, and Patroni's the one that was there before.
 *
 * @param directory where the file is: its relative paths count from there
 */
export async function settingsWithIncluded(
  text: string,
  directory: string,
): Promise<ReadonlyMap<string, string>> {
  const found = await settingsInOrder(text, join(directory, 'postgresql.conf'));
  return new Map(found.map(({ name, value }) => [name, value]));
}

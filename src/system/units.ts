/** The units of systemd and the tables of cron on this host, as far as we may read them. */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type RunCommand, succeeded } from './command.ts';
import { findProgram } from './find-program.ts';

/** The unit of systemd that runs a process (cgroups(7)); undefined if it is none of PostgreSQL. */
export function unitIn(cgroup: string): string | undefined {
  return /\/(postgres[^/\n]*\.service)$/m.exec(cgroup)?.[1];
}

/** A file of systemd or cron, or the user's own table of cron. */
export interface Scheduled {
  readonly path: string;
  readonly text: string;
}

/** Units that were put here are meant to run. */
const ownFolders = ['/etc/systemd/system', '/run/systemd/system'];
/** A package puts units here whether they are to run or not. */
const packageFolders = ['/usr/local/lib/systemd/system', '/usr/lib/systemd/system'];
const unitFolders = [...ownFolders, ...packageFolders];
const cronFolder = '/etc/cron.d';
const crontabLimitMs = 5_000;

async function readAll(paths: readonly string[]): Promise<readonly Scheduled[]> {
  const read = paths.map(async (path) => {
    const text = await readFile(path, 'utf8').catch(() => undefined);
    return text === undefined ? [] : [{ path, text }];
  });
  return (await Promise.all(read)).flat();
}

async function filesIn(folder: string, isWanted: (name: string) => boolean): Promise<readonly string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter(isWanted).map((name) => join(folder, name));
}

/**
 * A unit with its drop-ins; an instance `name@x.service` also has those of its template. As in systemd, a file hides those of
 * the same name in later folders: they have no effect. `root`: of another file system.
 */
export async function readUnit(name: string, root = '/'): Promise<readonly Scheduled[]> {
  const template = name.replace(/@[^.]*\./, '@.');
  const names = template === name ? [name] : [name, template];
  const folders = unitFolders.map((folder) => join(root, folder));
  const [unit] = await readAll(names.flatMap((one) => folders.map((folder) => join(folder, one))));
  const dropIns = new Map<string, string>();
  for (const folder of folders)
    for (const one of names)
      for (const path of await filesIn(join(folder, `${one}.d`), (entry) => entry.endsWith('.conf')))
        if (!dropIns.has(basename(path))) dropIns.set(basename(path), path);
  return [...(unit === undefined ? [] : [unit]), ...(await readAll([...dropIns.values()]))];
}

async function crontab(run: RunCommand): Promise<readonly Scheduled[]> {
  const program = await findProgram('crontab', []);
  if (program === undefined) return [];
  const result = await run({ program, args: ['-l'] }, { limitMs: crontabLimitMs });
  return succeeded(result) ? [{ path: 'crontab -l', text: result.stdout }] : [];
}

/** The units that other units start, which `systemctl enable` brings about by links; of a timer also the one that it names. */
async function startedUnits(root: string): Promise<ReadonlySet<string>> {
  const folders = unitFolders.map((folder) => join(root, folder));
  const among = folders.map((folder) => filesIn(folder, (name) => /\.(wants|requires|upholds)$/.test(name)));
  const links = (await Promise.all(among)).flat().map((folder) => filesIn(folder, () => true));
  const names = (await Promise.all(links)).flat().map((path) => basename(path));
  const timers = names.filter((name) => name.endsWith('.timer')).map((name) => name.replace(/@.+\./, '@.'));
  const texts = await readAll(folders.flatMap((folder) => timers.map((name) => join(folder, name))));
  const named = texts.flatMap(({ text }) =>
    [...text.matchAll(/^\s*Unit\s*=\s*(\S+)/gm)].map((match) => match[1]),
  );
  return new Set([...names, ...named.filter((name) => name !== undefined)]);
}

/** By itself or by a timer of its name; a template by one of its instances. */
function isStarted(service: string, started: ReadonlySet<string>): boolean {
  const name = basename(service, '.service');
  return [...started].some((unit) => {
    const other = unit.replace(/\.(service|timer)$/, '');
    return name.endsWith('@') ? other.startsWith(name) : other === name;
  });
}

/** Every service of systemd and every table of cron that may call one of our programs. `root`: of another file system. */
export async function readScheduled(run: RunCommand, root = '/'): Promise<readonly Scheduled[]> {
  const services = async (folders: readonly string[]) => {
    const found = folders.map((folder) => filesIn(join(root, folder), (name) => name.endsWith('.service')));
    return (await Promise.all(found)).flat();
  };
  const started = await startedUnits(root);
  const packaged = (await services(packageFolders)).filter((service) => isStarted(service, started));
  const cron = [...(await filesIn(join(root, cronFolder), () => true)), join(root, '/etc/crontab')];
  return [
    ...(await readAll([...(await services(ownFolders)), ...packaged, ...cron])),
    ...(await crontab(run)),
  ];
}

/** The files in which a line that is no comment calls a program with this flag. */
export function callersOf(scheduled: readonly Scheduled[], program: string, flag: RegExp): readonly string[] {
  return scheduled
    .filter(({ text }) =>
      text
        .replaceAll('\\\n', ' ')
        .split('\n')
        .some((line) => !/^\s*[#;]/.test(line) && line.includes(program) && flag.test(line)),
    )
    .map(({ path }) => path);
}

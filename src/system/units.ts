/** The units of systemd and the tables of cron on this host, as far as we may read them. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
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

const unitFolders = [
  '/etc/systemd/system',
  '/run/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
];
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

/** A unit with its drop-ins; an instance `name@x.service` also has those of its template. */
export async function readUnit(name: string): Promise<readonly Scheduled[]> {
  const template = name.replace(/@[^.]*\./, '@.');
  const names = template === name ? [name] : [name, template];
  const files = unitFolders.flatMap((folder) => names.map((one) => join(folder, one)));
  const dropIns = await Promise.all(
    files.map((file) => filesIn(`${file}.d`, (entry) => entry.endsWith('.conf'))),
  );
  return readAll([...files, ...dropIns.flat()]);
}

async function crontab(run: RunCommand): Promise<readonly Scheduled[]> {
  const program = await findProgram('crontab', []);
  if (program === undefined) return [];
  const result = await run({ program, args: ['-l'] }, { limitMs: crontabLimitMs });
  return succeeded(result) ? [{ path: 'crontab -l', text: result.stdout }] : [];
}

/** Every service of systemd and every table of cron that may call one of our programs. */
export async function readScheduled(run: RunCommand): Promise<readonly Scheduled[]> {
  const units = unitFolders.map((folder) => filesIn(folder, (name) => name.endsWith('.service')));
  const files = (await Promise.all(units)).flat();
  const cron = await filesIn(cronFolder, () => true);
  return [...(await readAll([...files, ...cron, '/etc/crontab'])), ...(await crontab(run))];
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

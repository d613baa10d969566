import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import type { IniKeys } from '../harness/ini.ts';
import type { Primary } from '../harness/primary.ts';
import type { Standby } from '../harness/standby.ts';
import type { World } from '../harness/world.ts';
import { copyBaseBackup, countRows, expectExit, writeSentinelFor } from './standby-kit.ts';

export interface Trio {
  readonly primary: Primary;
  /** The one that is promoted; its cmd_archiver.ini names the other one. */
  readonly heir: Standby;
  readonly other: Standby;
  /** Takes an archive away from the primary, as if that host could not be reached. */
  readonly holdBack: (standby: Standby) => void;
  /** A segment more, with rows up to `last`, in the archives that are not held back. */
  readonly archiveRows: (last: number) => Promise<string>;
}

const heldBack = '.held-back';

export async function makeTrio(world: World, ofOther: IniKeys = {}, ofHeir: IniKeys = {}): Promise<Trio> {
  const names = ['heir', 'other'];
  const hosts = [await world.host('heir'), await world.host('other')];
  for (const host of hosts) mkdirSync(host.archiveDir, { mode: 0o700 });
  const ship = writeScript(
    await world.host('primary'),
    'ship',
    `for to in ${hosts.map(({ archiveDir }) => `'${archiveDir}'`).join(' ')}; do
  [ -e "$to/${heldBack}" ] && continue
  [ -e "$to/$2" ] || { cp "$1" "$to/.$2" && mv "$to/.$2" "$to/$2"; } || exit 1
done`,
  );
  const primary = await world.startPrimary({ settings: { archive_command: `${ship} %p %f` } });
  await primary.sql('CREATE TABLE rows (id int PRIMARY KEY)');
  const standbys: Standby[] = [];
  for (const name of names) {
    const own = name === 'other' ? ofOther : ofHeir;
    const ini = { failover_probe_timeout: 30, start_timeout: 60, ...own };
    const standby = await world.addStandby(name, primary, { ini });
    writeSentinelFor(standby, primary);
    await copyBaseBackup(primary, standby);
    // Its sentinel then says how it is called.
    expectExit(await world.cmdStandby(standby, ['--cleanup']), 0);
    standbys.push(standby);
  }
  const [heir, other] = standbys as [Standby, Standby];
  await world.asPrimary(heir, ['other']);
  const archiveRows = async (last: number) => {
    await primary.sql('INSERT INTO rows SELECT generate_series((SELECT count(*) FROM rows) + 1, $1::int)', [
      last,
    ]);
    const segment = await primary.switchWal();
    for (const standby of standbys)
      if (!existsSync(join(standby.archiveDir, heldBack))) await standby.received(segment);
    return segment;
  };
  const holdBack = (standby: Standby) => {
    writeFileSync(join(standby.archiveDir, heldBack), '');
  };
  return { primary, heir, other, holdBack, archiveRows };
}

export async function startStandbys(world: World, ...standbys: readonly Standby[]): Promise<void> {
  for (const standby of standbys) expectExit(await world.cmdStandby(standby, ['-S']), 0);
}

export async function hasRows(standby: Standby, count: number): Promise<void> {
  await eventually(async () => (await countRows(standby)) === count, {
    limitMs: 120_000,
    what: `${count} rows on ${standby.name}`,
  });
}

export function marksAt(standby: Standby): string[] {
  const text = readFileSync(join(standby.archiveDir, '.pitrtools'), 'utf8');
  return text.split('\n').filter((line) => line.startsWith('left: '));
}

export function declaredAt(heir: Standby): string | undefined {
  const path = join(heir.host.directory, 'l_archive', '.archiver', 'left_timelines');
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

export function forkOf(heir: Standby): string {
  return readFileSync(join(heir.pgdata, 'pg_wal', '00000002.history'), 'utf8').split('\t')[1] ?? '';
}

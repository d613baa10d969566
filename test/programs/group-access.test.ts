import { appendFileSync, existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { clientProgram, failureMajors, testMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { backupPair, inPgdata } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

/** Every path below a directory that does not have the mode which a server with group access gives it, with its mode. */
function otherModes(directory: string): readonly string[] {
  const names = readdirSync(directory, { recursive: true }).map((name) => join(directory, String(name)));
  return [directory, ...names].flatMap((path) => {
    const found = lstatSync(path, { throwIfNoEntry: false });
    // The server removes files meanwhile; its socket's lock and a link have modes of their own.
    if (found === undefined || found.isSymbolicLink() || found.isSocket()) return [];
    const mode = found.mode & 0o777;
    return mode === (found.isDirectory() ? 0o750 : 0o640) ? [] : [`${path} ${mode.toString(8)}`];
  });
}

/** A primary whose data directory the group reads, with a tablespace, and what the standby's INI says of that. */
async function grouped(here: World) {
  const pair = await backupPair(here, { cluster: { groupAccess: true } });
  const { primary, standby } = pair;
  const location = join(primary.host.directory, 'space');
  mkdirSync(location);
  await primary.sql(`CREATE TABLESPACE space LOCATION '${location}'`);
  await primary.sql('CREATE TABLE t TABLESPACE space AS SELECT generate_series(1, 100) AS n');
  const space = join(standby.host.directory, 'space');
  const mapTo = () => {
    appendFileSync(standby.iniFile, `\n[tablespaces]\n${location} = ${space}\n`);
  };
  return { ...pair, space, mapTo };
}

describe.each(failureMajors())('a data directory with group access on PostgreSQL %i', (major) => {
  test.override({ major });

  test('gets only files that its group can read from -B, -S and -F999', async ({ world }) => {
    const { primary, standby, space, mapTo } = await grouped(world);
    mapTo();
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    expectExit(await world.cmdStandby(standby, ['-B']), 0);
    expect(existsSync(inPgdata(standby, 'pitrtools.json'))).toBe(true);
    expect([...otherModes(standby.pgdata), ...otherModes(space)]).toEqual([]);

    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    expect(existsSync(inPgdata(standby, major < 12 ? 'recovery.conf' : 'standby.signal'))).toBe(true);
    await primary.stop();
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect([...otherModes(standby.pgdata), ...otherModes(space)]).toEqual([]);
  });
});

const clientMajor = Number(/\/(\d+)\/bin\//.exec(clientProgram('pg_basebackup'))?.[1]);
const streamingMajors = testMajors()
  .filter((major) => major <= clientMajor)
  .slice(-1);

describe.each(streamingMajors)(
  'a data directory with group access by pg_basebackup on PostgreSQL %i',
  (major) => {
    test.override({ major });

    test('gets the same modes as by rsync', async ({ world }) => {
      const { standby, space, mapTo, primary } = await grouped(world);
      standby.writeIni({
        basebackup_method: 'pg_basebackup',
        pg_basebackup: clientProgram('pg_basebackup'),
        repl_db_user: primary.user,
      });
      mapTo();
      // As the user made it, for himself alone.
      mkdirSync(standby.pgdata, { recursive: true, mode: 0o700 });
      writeFileSync(inPgdata(standby, 'postgresql.conf'), '', { mode: 0o640 });
      expectExit(await world.cmdStandby(standby, ['-I']), 0);
      expectExit(await world.cmdStandby(standby, ['-B']), 0);
      expect([...otherModes(standby.pgdata), ...otherModes(space)]).toEqual([]);
    });
  },
);

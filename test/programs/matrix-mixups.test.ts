import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { writeScript } from '../harness/host.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { shows } from '../harness/scenarios.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import { allShipped, backupPair, inPgdata, snapshot } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

const refusal = 4;

function everything(standby: Standby) {
  return [snapshot(standby.pgdata), snapshot(standby.archiveDir)];
}

describe.each(failureMajors())('mix-ups of PostgreSQL versions, on PostgreSQL %i', (major) => {
  test.override({ major });

  test('are refused without any change to the standby', shows('version mix-ups'), async ({ world }) => {
    const { primary, standby } = await backupPair(world);
    for (const action of ['-I', '-B']) expectExit(await world.cmdStandby(standby, [action]), 0);
    await allShipped(primary);
    let before = everything(standby);
    const refused = async (args: readonly string[], reason: string, variables = {}) => {
      const run = await world.cmdStandby(standby, args, { variables });
      expectExit(run, refusal);
      expect(run.stderr).toContain(reason);
      expect(everything(standby)).toEqual(before);
      expect(standby.isRunning()).toBe(false);
    };

    // The INI names another release than the server is of.
    standby.writeIni({ pgversion: '9.6' });
    for (const action of ['-I', '-B'])
      await refused([action], `pgversion: says 9.6, but the primary is PostgreSQL ${major}`);
    for (const args of [['-S'], ['-A', 'start']])
      await refused(args, `pgversion: says 9.6, but the data directory "${standby.pgdata}" is of`);
    standby.writeIni({ pgversion: major });

    // The programs of this host are of another release than the primary and its copy.
    const folder = join(standby.host.directory, 'bin');
    const pgCtl = writeScript(standby.host, 'pg_ctl', "echo 'pg_ctl (PostgreSQL) 9.6.24'");
    standby.writeIni({ pg_ctl: pgCtl });
    for (const action of ['-I', '-B'])
      await refused([action], `"${pgCtl}" is of PostgreSQL 9.6, but the primary is of ${major}`);
    const other = `"${pgCtl}" is of PostgreSQL 9.6, but the data directory "${standby.pgdata}" of ${major}`;
    for (const args of [['-S'], ['-A', 'start']]) await refused(args, other);
    await primary.kill9();
    await refused(['-F999'], other);

    // Nothing in the INI: what includepath, or else the PATH, leads to.
    standby.writeIni({ pg_ctl: undefined, includepath: folder });
    await refused(['-S'], other);
    standby.writeIni({ pgversion: undefined, includepath: undefined });
    writeFileSync(inPgdata(standby, 'PG_VERSION'), '9.5\n');
    before = everything(standby);
    const onPath = `"${pgCtl}" is of PostgreSQL 9.6, but the data directory "${standby.pgdata}" of 9.5`;
    await refused(['-S'], onPath, { PATH: `${folder}:${process.env['PATH'] ?? ''}` });
  });
});

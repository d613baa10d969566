import { statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { failureMajors } from '../harness/postgres-programs.ts';
import { type Scenario, shows } from '../harness/scenarios.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { type BackupPair, backupPair } from './backup-kit.ts';
import { addRows, hasRows } from './matrix-kit.ts';
import { countRows, expectExit } from './standby-kit.ts';

interface Kind {
  readonly walSegmentMb: number;
  readonly checksums: boolean;
}

async function addAndShip({ primary, standby }: BackupPair, count: number): Promise<void> {
  await addRows(primary, count);
  await standby.received(await primary.switchWal());
}

/** Both hosts as the how-to sets them up, with ten rows in the base backup. */
async function madeWith(here: World, cluster: Kind): Promise<BackupPair> {
  // As initdb writes it into the configuration of such a cluster: the server refuses less than two segments.
  const standbySettings = { min_wal_size: `${5 * cluster.walSegmentMb}MB` };
  const pair = await backupPair(here, { cluster, standbySettings });
  await pair.primary.sql(
    'CREATE TABLE rows (id serial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())',
  );
  await addRows(pair.primary, 10);
  for (const action of ['-I', '-B']) expectExit(await here.cmdStandby(pair.standby, [action]), 0);
  return pair;
}

const kinds: readonly (Kind & { readonly scenarios: readonly Scenario[] })[] = [
  { walSegmentMb: 1, checksums: true, scenarios: ['segment size 1 MB', 'checksums on'] },
  { walSegmentMb: 64, checksums: false, scenarios: ['segment size 64 MB', 'checksums off'] },
];

// Up to 10 the segment size is fixed when the server is compiled.
const majors = failureMajors().filter((major) => major >= 11);

describe.each(majors)('clusters with other settings on PostgreSQL %i', (major) => {
  test.override({ major });

  for (const { scenarios, ...cluster } of kinds) {
    const { walSegmentMb, checksums } = cluster;
    const title = `segments of ${walSegmentMb} MB, checksums ${checksums ? 'on' : 'off'}`;

    test(`${title}: a standby replays and can be failed over`, shows(...scenarios), async ({ world }) => {
      const pair = await madeWith(world, cluster);
      const { primary, standby } = pair;
      expectExit(await world.cmdStandby(standby, ['-S']), 0);
      // More than one segment of the small size.
      await primary.sql('CREATE TABLE bulk AS SELECT generate_series(1, 100000) AS n');
      await addAndShip(pair, 10);
      await hasRows(standby, 20);
      const segments = standby.archive().filter((name) => name.length === 24);
      for (const name of segments)
        expect(statSync(join(standby.archiveDir, name)).size).toBe(walSegmentMb * 1024 * 1024);
      await addAndShip(pair, 10);
      await primary.kill9();

      expectExit(await world.cmdStandby(standby, ['-F999']), 0);
      expect(await countRows(standby)).toBe(30);
      expect(await standby.value('SELECT count(*) FROM bulk')).toBe('100000');
      expect(await standby.value('SHOW data_checksums')).toBe(checksums ? 'on' : 'off');
      expect(await standby.value('SHOW wal_segment_size')).toBe(`${walSegmentMb}MB`);
    });

    test(`${title}: a point-in-time recovery reaches its target`, shows(...scenarios), async ({ world }) => {
      const pair = await madeWith(world, cluster);
      const { primary, standby } = pair;
      await addAndShip(pair, 5);
      const moment = await primary.value('SELECT clock_timestamp()::text');
      await addAndShip(pair, 5);
      await primary.kill9();
      expectExit(await world.cmdStandby(standby, ['-F999', '-R', moment]), 0);
      expect(await countRows(standby)).toBe(15);
    });
  }
});

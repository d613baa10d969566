import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import type { IniKeys } from '../harness/ini.ts';
import { newestMajors } from '../harness/postgres-programs.ts';
import { archivingSettings, type Primary } from '../harness/primary.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { installHelpers } from './backup-kit.ts';
import { addressOf } from './follow-kit.ts';
import { addRows, failOver, hasRows, makeStandby, timelineOf } from './matrix-kit.ts';
import { countRows, expectExit } from './standby-kit.ts';

const limits = { wal_timeout: 60, failover_probe_timeout: 2, start_timeout: 60 };

/** A standby that archives by the cmd_archiver.ini of its host once it is promoted. */
async function addHost(world: World, name: string, primary: Primary, ini: IniKeys = {}): Promise<Standby> {
  const archiving = archivingSettings(await world.host(name));
  return world.addStandby(name, primary, { ini: { ...limits, ...ini }, settings: archiving });
}

function marksAt(standby: Standby): string[] {
  const text = readFileSync(join(standby.archiveDir, '.pitrtools'), 'utf8');
  return text.split('\n').filter((line) => line.startsWith('left: '));
}

describe.each(newestMajors())('a chain of standbys on PostgreSQL %i', (major) => {
  test.override({ major });

  test('A → B → C follows through two failovers, without a gap', { timeout: 400_000 }, async ({ world }) => {
    const a = await world.startPrimary({ slaves: ['h', 'b'] });
    await a.sql('CREATE TABLE rows (id serial)');
    const h = await addHost(world, 'h', a);
    const b = await addHost(world, 'b', a);
    const c = await addHost(world, 'c', a);
    await installHelpers(a);
    expectExit(await world.cmdArchiver(a, ['-I']), 0);
    for (const standby of [h, b]) await makeStandby(world, standby);

    // B feeds C from now on, as a standby and as a primary.
    const asPrimary = await world.asPrimary(b, ['c']);
    asPrimary.writeIni({ relay: 'yes' });
    expectExit(await world.cmdArchiver(asPrimary, ['-I']), 0);
    const shipper = world.startArchiver(asPrimary, ['--ship']);
    await makeStandby(world, c);
    await addRows(a, 100);
    await a.switchWal();
    for (const standby of [h, b, c]) await hasRows(standby, 100);

    const second = await failOver(world, a, h, ['b']);
    await addRows(second, 100);
    await second.switchWal();
    for (const standby of [b, c]) {
      const run = await world.cmdStandby(standby, ['--follow', addressOf(h)]);
      expectExit(run, 0);
      expect(run.stdout).toContain('timeline 2');
      await hasRows(standby, 200);
    }
    expect(marksAt(c)).toEqual([expect.stringMatching(/^left: 1 /)]);

    await h.kill9();
    expectExit(await world.cmdStandby(b, ['-F999']), 0);
    expect(await timelineOf(b)).toBe(3);
    await addRows(asPrimary, 100);
    await asPrimary.switchWal();
    expectExit(await world.cmdStandby(c, ['--follow', addressOf(b)]), 0);
    await hasRows(c, 300);
    expect(c.archive()).toEqual(expect.arrayContaining(['00000002.history', '00000003.history']));
    await eventually(() => marksAt(c).length === 2);
    const listing = await world.cmdStandby(c, ['--wal']);
    expectExit(listing, 0);
    expect(listing.stdout).not.toMatch(/missing:|unusable:/);
    expect(shipper.output()).toContain('is out of recovery');
    expect(await countRows(c)).toBe(await countRows(b));
    shipper.signal('SIGTERM');
    await shipper.finished;
  });
});

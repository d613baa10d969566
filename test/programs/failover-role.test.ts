import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { packetSink } from '../harness/network.ts';
import { serverProgram } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { declaredAt, hasRows, makeTrio, marksAt, startStandbys } from './siblings-kit.ts';
import { countRows, expectExit } from './standby-kit.ts';

describe('the role of the primary', () => {
  test('is taken although another standby is silent, which is said', async ({ world }) => {
    const { primary, heir, other, archiveRows } = await makeTrio(world, {}, { failover_probe_timeout: 4 });
    await startStandbys(world, heir);
    await archiveRows(100);
    await hasRows(heir, 100);
    await primary.kill9();
    const sink = await packetSink({ address: other.host.address });
    world.onClose(() => sink.close());
    heir.host.routeTo(other.host, sink);

    const run = await world.cmdStandby(heir, ['-F999']);
    expectExit(run, 0);
    expect(run.stderr).toMatch(/standby other did not answer \(.*\): how far it has come is unknown/);
    expect(run.stdout).toMatch(
      /^Standby other was not informed .*: the next hello of this host's cmd_archiver informs it$/m,
    );
    expect(run.stdout).toContain('Not asked, and perhaps further: other');
    expect(await countRows(heir)).toBe(100);
    expect(declaredAt(heir)).toMatch(/^1 /);
    expect(marksAt(other)).toEqual([]);
  });

  test('is not taken beside a living primary: no other standby is informed, unless --take-role says so', async ({
    world,
  }) => {
    const { primary, heir, other, holdBack, archiveRows } = await makeTrio(world);
    await startStandbys(world, other);
    await archiveRows(100);
    const moment = await primary.value('SELECT clock_timestamp()::text');
    await archiveRows(200);
    const opened = await world.cmdStandby(heir, ['-F999', '-R', moment, '--force']);
    expectExit(opened, 0);
    expect(await countRows(heir)).toBe(100);
    expect(opened.stdout).toContain(
      "This server has not taken the old primary's role, because the server was opened at a recovery target",
    );
    expect(marksAt(other)).toEqual([]);
    expect(declaredAt(heir)).toBeUndefined();
    // The others continue to follow the primary.
    holdBack(heir);
    await archiveRows(300);
    await hasRows(other, 300);

    await world.asPrimary(other, ['heir']);
    const refused = await world.cmdStandby(other, ['-F999', '--force=primary-alive', '--take-role']);
    expectExit(refused, 4);
    expect(refused.stderr).toContain('heir is out of recovery, on timeline 2');
    const force = '--force=primary-alive,sibling-promoted';
    expectExit(await world.cmdStandby(other, ['-F999', force, '--take-role']), 0);
    expect(declaredAt(other)).toMatch(/^1 /);
    expect(marksAt(heir)).toHaveLength(1);
  });

  test('is taken by the next run if the first one was killed after the promotion', async ({ world }) => {
    const { primary, heir, other, archiveRows } = await makeTrio(world);
    await startStandbys(world, heir);
    await archiveRows(100);
    await primary.kill9();
    const trace = join(heir.host.directory, 'promoted');
    const waits = writeScript(
      heir.host,
      'promote',
      `'${serverProgram(world.major, 'pg_ctl')}' promote -D '${heir.pgdata}' -w; touch '${trace}'; sleep 60`,
    );
    heir.writeIni({ promote_command: waits });
    const first = world.startStandby(heir, ['-F999']);
    await eventually(() => existsSync(trace), { limitMs: 120_000 });
    first.killFamily();
    await first.finished;
    expect(marksAt(other)).toEqual([]);

    const second = await world.cmdStandby(heir, ['-F999']);
    expectExit(second, 0);
    expect(second.stdout).toContain('Standby other was informed: ');
    expect(marksAt(other)).toHaveLength(1);
    expect(declaredAt(heir)).toMatch(/^1 /);
  });
});

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { writeScript } from '../harness/host.ts';
import type { Primary } from '../harness/primary.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { backupPair } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

/** As PostgreSQL's service asks. */
function ask(world: World, primary: Primary) {
  return world.cmdArchiver(primary, ['--may-start']);
}

describe('--may-start', () => {
  test('allows at once what would not open, and refuses a base backup that was not made a standby', async ({
    world,
  }) => {
    const { standby } = await backupPair(world);
    const here = await world.asPrimary(standby, ['primary']);
    const none = await ask(world, here);
    expectExit(none, 0);
    expect(none.stdout).toContain('holds no cluster');

    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    expectExit(await world.cmdStandby(standby, ['-B']), 0);
    const copy = await ask(world, here);
    expectExit(copy, 4);
    expect(copy.stderr).toContain(
      'is a base backup that was not made a standby, and would open as a second primary',
    );
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
    // Nobody is asked.
    (await world.host('primary')).sshd.freeze();
    const recovers = await ask(world, here);
    expectExit(recovers, 0);
    expect(recovers.stdout).toMatch(
      /^PostgreSQL may start: it recovers \((standby\.signal|recovery\.conf)\)\n$/,
    );
  });

  test('is not kept from an answer by hosts that hang, and keeps no server down by a fault of its own', async ({
    world,
  }) => {
    const primary = await world.startPrimary({
      slaves: ['standby1', 'standby2'],
      ini: { start_probe_timeout: 2 },
      start: false,
    });
    const [first, second] = [await world.host('standby1'), await world.host('standby2')];
    first.sshd.freeze();
    second.sshd.freeze();
    const hung = await ask(world, primary);
    expectExit(hung, 0);
    expect(hung.ms).toBeLessThan(10_000);
    expect(hung.stderr).toContain('standby standby1 could not say it: ');
    expect(primary.host.notifications().map(({ severity }) => severity)).toEqual(['critical']);

    // One that can be reached has no archive yet: nobody knows it.
    second.sshd.thaw();
    const empty = await ask(world, primary);
    expectExit(empty, 0);
    expect(empty.stderr).toContain(`there is no directory ${second.archiveDir} there`);
    mkdirSync(second.archiveDir, { mode: 0o700 });
    writeFileSync(join(second.archiveDir, '.pitrtools'), 'system_identifier: 1\nstandby: x\nleft: 1 0/1 x\n');
    const foreign = await ask(world, primary);
    expectExit(foreign, 0);
    expect(foreign.stderr).toContain('its archive belongs to cluster 1');

    primary.writeIni({ ssh_timeout: 'soon' });
    const broken = await ask(world, primary);
    expectExit(broken, 0);
    expect(broken.stderr).toContain(
      'whether PostgreSQL may start here could not be determined: it is allowed',
    );
    const missing = await world.cmdArchiver(primary, ['--may-start'], { ini: '/nonexistent/x.ini' });
    expectExit(missing, 0);
    expect(existsSync(join(primary.pgdata, 'postmaster.pid'))).toBe(false);
    first.sshd.thaw();
  });

  test('is no answer of a standby that does not say whether it is being promoted', async ({ world }) => {
    const primary = await world.startPrimary({
      slaves: ['standby1'],
      ini: { start_probe_timeout: 8, start_unseen: 'refuse' },
      start: false,
    });
    const host = await world.host('standby1');
    const released = join(host.directory, 'released');
    const hangs = writeScript(host, 'cmd_standby', `until [ -e '${released}' ]; do sleep 0.1; done`);
    const control = readFileSync(join(primary.pgdata, 'global', 'pg_control'));
    mkdirSync(host.archiveDir, { mode: 0o700 });
    writeFileSync(
      join(host.archiveDir, '.pitrtools'),
      `system_identifier: ${control.readBigUInt64LE()}\nstandby: x\nprogram: ${hangs}\nini: /etc/x.ini\n`,
    );
    const refused = await ask(world, primary);
    writeFileSync(released, '');
    expectExit(refused, 4);
    expect(refused.stderr).toContain('standby standby1 could not say whether it is being promoted: ');
  });
});

import { dirname } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { writeScript } from '../harness/host.ts';
import { packetSink } from '../harness/network.ts';
import { testMajors, wideMajors } from '../harness/postgres-programs.ts';
import { createWorld, type World } from '../harness/world.ts';
import { expectExit, writeSentinelFor } from './standby-kit.ts';

let world: World | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

async function watchedPrimary(major: number) {
  const here = await createWorld({ major });
  world = here;
  const primary = await here.startPrimary({ settings: { archive_mode: false } });
  const standby = await here.addStandby('standby1', primary, { ini: { failover_probe_timeout: 3 } });
  writeSentinelFor(standby, primary);
  return { here, primary, standby };
}

describe.each(wideMajors())('cmd_standby -P on PostgreSQL %i', (major) => {
  test('reports by its exit status whether the primary is alive, and notifies once of a change', async () => {
    const { here, primary, standby } = await watchedPrimary(major);
    const ping = () => here.cmdStandby(standby, ['-P']);

    const alive = await ping();
    expectExit(alive, 0);
    expect(alive.stdout).toContain('the primary is alive: PostgreSQL answers at');
    expect(standby.host.notifications()).toEqual([]);

    await primary.kill9();
    const dead = await ping();
    expectExit(dead, 10);
    expect(dead.stdout).toContain('the primary is dead: its host answers, and no server runs there');
    await ping();
    expect(standby.host.notifications().map(({ severity }) => severity)).toEqual(['critical']);
    expect(standby.host.notificationFacts()[0]).toMatchObject({ PITRTOOLS_LIVENESS: 'dead' });

    await primary.host.sshd.kill();
    expect((await ping()).stdout).toContain('the primary cannot be reached');
    await primary.start();
    expect(await ping()).toMatchObject({ code: 0 });
    expect(standby.host.notifications().map(({ severity }) => severity)).toEqual(['critical', 'ok']);
  });

  test('reports a server that listens only on localhost as alive', async () => {
    const { here, primary, standby } = await watchedPrimary(major);
    primary.configure({ listen_addresses: '127.0.0.1' });
    await primary.restart();
    const seen = await here.cmdStandby(standby, ['-P']);
    expectExit(seen, 0);
    expect(seen.stdout).toContain('its postmaster runs there');
  });
});

test('-P reaches the primary by an ssh that only includepath contains, as -B does', async () => {
  const { here, primary, standby } = await watchedPrimary(testMajors()[0] ?? 15);
  primary.configure({ listen_addresses: '127.0.0.1' });
  await primary.restart();
  const script = writeScript(standby.host, 'our-ssh', `exec ${standby.host.ssh} "$@"`);
  standby.writeIni({ ssh: 'our-ssh', includepath: dirname(script) });
  const seen = await here.cmdStandby(standby, ['-P']);
  expectExit(seen, 0);
  expect(seen.stdout).toContain('its postmaster runs there');
});

test('-P ends within its limit although one host does not answer', async () => {
  const { here, primary, standby } = await watchedPrimary(testMajors()[0] ?? 15);
  await primary.kill9();
  const port = await packetSink({ address: primary.host.address, port: primary.port });
  here.onClose(() => port.close());
  const ssh = await packetSink({ address: primary.host.address });
  here.onClose(() => ssh.close());
  standby.host.routeTo(primary.host, ssh);
  const run = await here.cmdStandby(standby, ['-P'], { limitMs: 120_000 });
  expect(run).toMatchObject({ code: 11, timedOut: false });
  expect(run.stdout).toContain('cannot be reached');
});

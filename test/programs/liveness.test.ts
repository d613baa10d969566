import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { formatSentinel } from '../../src/system/sentinel.ts';
import { writeScript } from '../harness/host.ts';
import { hangingListener } from '../harness/network.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { sendSignal } from '../harness/processes.ts';
import { createWorld, type World } from '../harness/world.ts';
import { expectExit, makePair, writeSentinelFor } from './standby-kit.ts';

const major = failureMajors().at(-1) ?? 18;
let world: World | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

async function watchedPrimary() {
  const here = await createWorld({ major });
  world = here;
  const primary = await here.startPrimary({ settings: { archive_mode: false } });
  const standby = await here.addStandby('standby1', primary, { ini: { failover_probe_timeout: 5 } });
  writeSentinelFor(standby, primary);
  return { here, primary, standby, ping: () => here.cmdStandby(standby, ['-P']) };
}

describe('a primary whose port accepts connections and does not answer', () => {
  test('is dead if ssh shows that no server runs there, and counts as alive if ssh shows nothing', async () => {
    const here = await createWorld({ major });
    world = here;
    const { primary, standby } = await makePair(here, { ini: { failover_probe_timeout: 2 } });
    await primary.kill9();
    const port = await hangingListener({ address: primary.host.address, port: primary.port });
    here.onClose(() => port.close());

    standby.writeIni({ failover_probe_timeout: 5 });
    const dead = await here.cmdStandby(standby, ['-P']);
    expectExit(dead, 10);
    const place = `something accepts connections at ${primary.host.address}:${primary.port} and does not answer`;
    expect(dead.stdout).toContain(`${place}, though no server runs there`);

    await primary.host.sshd.kill();
    standby.writeIni({ failover_probe_timeout: 2 });
    const silent = await here.cmdStandby(standby, ['-P']);
    expectExit(silent, 13);
    const refused = await here.cmdStandby(standby, ['-F999']);
    expectExit(refused, 4);
    expect(refused.stderr).toContain(`${place}: a hung server or a proxy`);
    expect(refused.stderr).toContain('Power the host off or stop it first');
    expect(refused.stderr).toContain('--force=primary-alive');
    const forced = await here.cmdStandby(standby, ['-F999', '--force=primary-alive', '--dry-run']);
    expectExit(forced, 0);
    expect(forced.stderr).toContain('continuing anyway (--force=primary-alive)');
  });

  test('is alive if ssh shows its postmaster, even if that is stopped by a signal', async () => {
    const { primary, ping } = await watchedPrimary();
    const postmaster = primary.postmaster() ?? 0;
    sendSignal(postmaster, 'SIGSTOP');
    try {
      const stopped = await ping();
      expectExit(stopped, 13);
      expect(stopped.stdout).toContain(
        `its postmaster runs there (pid ${postmaster}): it is stopped, and can continue at any moment`,
      );
    } finally {
      sendSignal(postmaster, 'SIGCONT');
    }
  });
});

test('-F999 is refused if the primary could not be asked because its name does not resolve or ssh is missing', async () => {
  const here = await createWorld({ major });
  world = here;
  const { primary, standby } = await makePair(here);
  await primary.kill9();
  const address = primary.host.address;

  standby.writeIni({ master_public_ip: 'no-such-host.invalid' });
  const nameless = await here.cmdStandby(standby, ['-F999']);
  expectExit(nameless, 4);
  expect(nameless.stderr).toContain('the name "no-such-host.invalid" does not resolve');
  expect(nameless.stderr).toContain('getent hosts no-such-host.invalid');
  expect(nameless.stderr).toContain('--force=primary-unasked');
  expectExit(await here.cmdStandby(standby, ['-P']), 12);

  const broken = writeScript(standby.host, 'broken-ssh', '');
  writeFileSync(broken, '#!/no/such/interpreter\n');
  for (const ssh of ['/no/such/ssh', broken]) {
    standby.writeIni({ master_public_ip: address, ssh });
    const refused = await here.cmdStandby(standby, ['-F999']);
    expectExit(refused, 4);
    expect(refused.stderr).toContain('the primary could not be asked');
    expect(refused.stderr).toMatch(/ssh could not be started|cannot find the program "\/no\/such\/ssh"/);
  }
  const forced = await here.cmdStandby(standby, ['-F999', '--force=primary-unasked', '--dry-run']);
  expectExit(forced, 0);
  expect(forced.stderr).toContain('continuing anyway (--force=primary-unasked)');
});

describe('-P reports', () => {
  test('the living primary with its timeline, and a server in recovery', async () => {
    const { primary, standby, ping } = await watchedPrimary();
    const alive = await ping();
    expectExit(alive, 0);
    expect(alive.stdout).toMatch(/^the primary is alive: .* \(timeline 1\)$/m);
    expect(standby.host.notifications()).toEqual([]);

    await primary.stop();
    if (major >= 12) {
      writeFileSync(join(primary.pgdata, 'standby.signal'), '');
      primary.configure({ restore_command: 'false' });
    } else {
      const lines = "standby_mode = on\nrestore_command = 'false'\n";
      writeFileSync(join(primary.pgdata, 'recovery.conf'), lines);
    }
    await primary.start();
    const recovering = await ping();
    expectExit(recovering, 14);
    expect(recovering.stdout).toContain("a server in recovery is in the primary's place");
    expect(recovering.stdout).toContain('(timeline 1)');
    expect(standby.host.notificationFacts()[0]).toMatchObject({ PITRTOOLS_LIVENESS: 'in-recovery' });
  });

  test('a server of another cluster', async () => {
    const { primary, standby, ping } = await watchedPrimary();
    writeFileSync(
      join(standby.archiveDir, '.pitrtools'),
      formatSentinel({
        systemIdentifier: '7000000000000000001',
        standby: standby.name,
        primaryPgdata: primary.pgdata,
        promotedAtTimeline: undefined,
        left: [],
      }),
    );
    const other = await ping();
    expectExit(other, 15);
    expect(other.stdout).toMatch(
      /another cluster is in the primary's place: system identifier \d+, not 7000000000000000001/,
    );
  });
});

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { inNamespaces, missingNamespaces } from '../harness/namespaces.ts';
import { failureMajors, serverProgram } from '../harness/postgres-programs.ts';
import { start } from '../harness/processes.ts';
import { makeCluster, type Server } from '../harness/server.ts';
import { test } from '../harness/test.ts';
import { installHelpers } from './backup-kit.ts';
import { expectExit, writeSentinelFor } from './standby-kit.ts';

const major = failureMajors().at(-1) ?? 18;

test.override({ major });

const kinds = ['mount', 'pid'] as const;
const missing = await missingNamespaces(kinds, 'mount -t tmpfs tmpfs /mnt');
if (missing !== undefined) console.log(`skipped: ${missing}`);

/** Starts a server as a container does: in mount and process namespaces of its own, with `pgdata` mounted at another path. */
async function startInContainer(server: Server, pgdata: string, path: string, more: string[] = []) {
  mkdirSync(path, { recursive: true });
  const postgres = serverProgram(server.major, 'postgres');
  const [program, args] = inNamespaces(kinds, `mount --bind '${pgdata}' '${path}'`, [
    postgres,
    ...['-D', path, '-c', 'listen_addresses=', ...more],
  ]);
  const running = start(program, args, { env: server.env });
  await eventually(() => server.value('SELECT 1').catch(() => undefined), {
    what: 'an answer of the server in its container',
  }).catch((error: unknown) => {
    throw new Error(running.output(), { cause: error });
  });
  return running;
}

async function end(running: ReturnType<typeof start>): Promise<void> {
  running.killFamily();
  await running.finished;
}

test.skipIf(missing !== undefined)(
  'a primary in a container with another path and other pids is seen as alive, and as dead after a kill',
  async ({ world }) => {
    const primary = await world.startPrimary({ settings: { archive_mode: false } });
    const standby = await world.addStandby('standby1', primary, { ini: { failover_probe_timeout: 10 } });
    writeSentinelFor(standby, primary);
    await primary.stop();
    const container = await startInContainer(
      primary,
      primary.pgdata,
      join(primary.host.directory, 'mounted'),
    );
    try {
      const alive = await world.cmdStandby(standby, ['-P']);
      expectExit(alive, 0);
      expect(alive.stdout).toMatch(/the primary is alive: its postmaster runs there \(pid \d+\)/);
    } finally {
      await end(container);
    }
    const dead = await world.cmdStandby(standby, ['-P']);
    expectExit(dead, 10);
    expect(dead.stdout).toContain('the primary is dead: its host answers, and no server runs there');
  },
);

test.skipIf(missing !== undefined)(
  "a foreign server with the primary's path in another container is not taken for the primary",
  async ({ world }) => {
    const primary = await world.startPrimary({ settings: { archive_mode: false } });
    const standby = await world.addStandby('standby1', primary, { ini: { failover_probe_timeout: 10 } });
    writeSentinelFor(standby, primary);
    const stranger = { ...primary, pgdata: join(primary.host.directory, 'stranger') };
    await primary.kill9();
    await makeCluster(stranger, { settings: { archive_mode: false } });
    const container = await startInContainer(primary, stranger.pgdata, primary.pgdata);
    try {
      const dead = await world.cmdStandby(standby, ['-P']);
      expectExit(dead, 10);
      standby.writeIni({ pgdata: primary.pgdata });
      const stop = await world.cmdStandby(standby, ['-A', 'stop', '--force']);
      expect(stop.stdout + stop.stderr).toContain('not running');
      expect(await primary.value('SELECT 1')).toBe('1');
    } finally {
      await end(container);
    }
  },
);

test.skipIf(missing !== undefined)(
  '-A stop and -B --force do not take a server of this host for stopped if it was started in a container',
  async ({ world }) => {
    const primary = await world.startPrimary({ settings: { archive_mode: false } });
    await installHelpers(primary);
    const standby = await world.addStandby('standby1', primary);
    writeSentinelFor(standby, primary);
    await makeCluster(standby, { settings: { archive_mode: false } });
    const container = await startInContainer(
      standby,
      standby.pgdata,
      join(standby.host.directory, 'mounted'),
    );
    try {
      const stop = await world.cmdStandby(standby, ['-A', 'stop']);
      expectExit(stop, 4);
      expect(stop.stderr).toContain('that its postmaster.pid does not name');
      const backup = await world.cmdStandby(standby, ['-B', '--force']);
      expectExit(backup, 4);
      expect(backup.stderr).toContain('that its postmaster.pid does not name');
      expect(await standby.value('SELECT 1')).toBe('1');
    } finally {
      await end(container);
    }
  },
);

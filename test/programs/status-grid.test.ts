import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { hasSmallDisks, smallDisk } from '../harness/disk.ts';
import { eventually } from '../harness/eventually.ts';
import { type Host, writeScript } from '../harness/host.ts';
import { clientProgram, failureMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { processesOf } from '../harness/process-table.ts';
import { killAll, sendSignal } from '../harness/processes.ts';
import type { Server } from '../harness/server.ts';
import { test } from '../harness/test.ts';
import { shipperPids, systemIdentifierOf } from './shipper-kit.ts';
import { expectExit } from './standby-kit.ts';
import {
  type Expected,
  expectInAllViews,
  findingsOf,
  healthyPair,
  type Hosts,
  lookBy,
  lookOf,
  roomyDisks,
} from './status-kit.ts';

test.override({ major: failureMajors().at(-1) ?? 15 });

interface Trouble extends Expected {
  readonly what: string;
  /** Further arguments of --status, such as lower limits. */
  readonly args?: readonly string[];
  /** @returns how to take it back */
  readonly plant: (hosts: Hosts) => Promise<() => unknown>;
}

const anyAmount = ['--warning', '1B,0', '--critical', '100GB,0'];

async function moveAside(directory: string): Promise<() => void> {
  renameSync(directory, `${directory}.away`);
  mkdirSync(directory, { mode: 0o700 });
  return Promise.resolve(() => {
    rmdirSync(directory);
    renameSync(`${directory}.away`, directory);
  });
}

/** The words are the keys of postgresql.conf. */
async function withSettings(server: Server, settings: Readonly<Record<string, string>>) {
  const before: Record<string, string> = {};
  for (const name of Object.keys(settings)) before[name] = await server.value(`SHOW ${name}`);
  server.configure(settings);
  await server.reload();
  return async () => {
    server.configure(before);
    await server.reload();
  };
}

async function writeSegment(primary: Primary): Promise<string> {
  await primary.sql('CREATE TABLE IF NOT EXISTS numbers AS SELECT generate_series(1, 1000) AS n');
  return primary.switchWal();
}

/** From the next login on, `date` there says a time that is that much later. */
function withLyingDate(host: Host, seconds: number): () => void {
  const name = `clock-${seconds}`;
  const directory = join(host.directory, name);
  mkdirSync(directory);
  const date = `[ "$*" = +%s ] && exec /bin/date -d '${seconds} seconds' +%s\nexec /bin/date "$@"`;
  renameSync(writeScript(host, name, date), join(directory, 'date'));
  const keys = join(host.directory, 'ssh', 'authorized_keys');
  const before = readFileSync(keys, 'utf8');
  writeFileSync(keys, `command="PATH=${directory}:$PATH; eval \\"$SSH_ORIGINAL_COMMAND\\"" ${before}`);
  return () => {
    writeFileSync(keys, before);
    rmSync(directory, { recursive: true });
  };
}

function withLine(file: string, line: string): () => void {
  const before = readFileSync(file);
  appendFileSync(file, `${line}\n`);
  return () => {
    writeFileSync(file, before);
  };
}

const ofPrimary: readonly Trouble[] = [
  {
    what: 'a standby that refuses connections',
    name: 'standby',
    about: 'standby1',
    level: 'warning',
    plant: async ({ primary, standby }) => {
      await standby.host.sshd.kill();
      await primary.archived(await writeSegment(primary));
      return () => standby.host.sshd.start();
    },
  },
  {
    what: 'a queue that grows',
    name: 'queue',
    about: 'standby1',
    level: 'warning',
    args: anyAmount,
    plant: async ({ primary, standby }) => {
      await standby.host.sshd.kill();
      await primary.archived(await writeSegment(primary));
      return () => standby.host.sshd.start();
    },
  },
  {
    what: 'a key that is refused',
    name: 'standby',
    about: 'standby1',
    level: 'warning',
    plant: async ({ primary, standby }) => {
      const keys = join(standby.host.directory, 'ssh', 'authorized_keys');
      renameSync(keys, `${keys}.away`);
      await standby.host.sshd.kill();
      await standby.host.sshd.start();
      await primary.archived(await writeSegment(primary));
      return () => {
        renameSync(`${keys}.away`, keys);
      };
    },
  },
  {
    what: 'an archive that is not mounted at the standby',
    name: 'standby',
    about: 'standby1',
    level: 'critical',
    plant: async ({ primary, standby }) => {
      const undo = await moveAside(standby.archiveDir);
      await primary.archived(await writeSegment(primary));
      return undo;
    },
  },
  {
    what: 'a shipper that died',
    name: 'shipper',
    level: 'warning',
    plant: async ({ primary }) => {
      await eventually(() => shipperPids(primary.host).length > 0, { what: 'a shipper' });
      for (const pid of shipperPids(primary.host)) sendSignal(pid, 'SIGKILL');
      return async () => {
        await primary.archived(await writeSegment(primary));
      };
    },
  },
  {
    what: 'another INI file in archive_command',
    name: 'archiving',
    level: 'critical',
    plant: async ({ primary }) => {
      const command = await primary.value('SHOW archive_command');
      return withSettings(primary, { archive_command: command.replace(primary.iniFile, '/etc/another.ini') });
    },
  },
  {
    what: 'WAL that waits in pg_wal',
    name: 'waiting',
    level: 'warning',
    args: anyAmount,
    plant: async ({ primary }) => {
      const undo = await withSettings(primary, { archive_command: '/bin/false' });
      await writeSegment(primary);
      return undo;
    },
  },
  {
    what: 'state: offline',
    name: 'offline',
    level: 'critical',
    plant: async ({ primary }) => {
      primary.writeIni({ state: 'offline' });
      return Promise.resolve(() => {
        primary.writeIni({ state: 'online' });
      });
    },
  },
  {
    what: 'queues that are not mounted',
    name: 'initialized',
    level: 'critical',
    plant: async ({ primary }) => {
      killAll(
        processesOf(primary.host.directory).filter(({ commandLine }) => commandLine.includes('--ship')),
      );
      const directory = primary.lArchiveDir;
      renameSync(directory, `${directory}.away`);
      mkdirSync(directory, { mode: 0o700 });
      return Promise.resolve(async () => {
        rmSync(directory, { recursive: true });
        renameSync(`${directory}.away`, directory);
        // A call of archive_command starts a shipper again.
        await primary.archived(await writeSegment(primary));
      });
    },
  },
  {
    what: 'a server that cannot be asked',
    name: 'archiving',
    level: 'unknown',
    plant: async ({ primary }) => {
      primary.writeIni({ psql: writeScript(primary.host, 'psql', 'exit 1') });
      return Promise.resolve(() => {
        primary.writeIni({ psql: clientProgram('psql') });
      });
    },
  },
  {
    what: 'a clock that is 5 minutes off',
    name: 'clock',
    about: 'standby1',
    level: 'warning',
    args: ['--live'],
    plant: ({ standby }) => Promise.resolve(withLyingDate(standby.host, -300)),
  },
  {
    what: 'a standby that has left this timeline',
    name: 'standby',
    about: 'standby1',
    level: 'critical',
    plant: async ({ primary, standby }) => {
      const undo = withLine(join(standby.archiveDir, '.pitrtools'), 'left: 1 0/1000000 another');
      for (const pid of shipperPids(primary.host)) sendSignal(pid, 'SIGKILL');
      await primary.archived(await writeSegment(primary));
      return undo;
    },
  },
];

const ofStandby: readonly Trouble[] = [
  {
    what: 'a replay that is paused',
    name: 'paused',
    level: 'warning',
    plant: async ({ standby }) => {
      await standby.sql('SELECT pg_wal_replay_pause()');
      return () => standby.sql('SELECT pg_wal_replay_resume()');
    },
  },
  {
    what: 'a delay that nobody asked for',
    name: 'delayed',
    level: 'warning',
    plant: async ({ standby }) => {
      await standby.sql("ALTER SYSTEM SET recovery_min_apply_delay = '1h'");
      await standby.reload();
      return async () => {
        await standby.sql('ALTER SYSTEM RESET recovery_min_apply_delay');
        await standby.reload();
      };
    },
  },
  {
    what: 'a clock that is 5 minutes off',
    name: 'clock',
    about: 'primary',
    level: 'warning',
    plant: ({ primary }) => Promise.resolve(withLyingDate(primary.host, 300)),
  },
  {
    what: 'a stream that is refused',
    name: 'stream',
    level: 'warning',
    plant: async ({ primary }) => {
      const file = join(primary.pgdata, 'pg_hba.conf');
      const before = readFileSync(file, 'utf8');
      writeFileSync(file, `host replication all all reject\nlocal replication all reject\n${before}`);
      await primary.reload();
      await primary.sql('SELECT pg_terminate_backend(pid) FROM pg_stat_replication');
      return async () => {
        writeFileSync(file, before);
        await primary.reload();
      };
    },
  },
  {
    what: 'WAL of the primary that is not here',
    name: 'behind',
    level: 'warning',
    args: anyAmount,
    plant: async ({ primary, standby }) => {
      standby.host.sshd.freeze();
      await standby.sql("ALTER SYSTEM SET primary_conninfo = ''");
      await standby.reload();
      await writeSegment(primary);
      await delay(2_000);
      await primary.sql('CREATE TABLE more AS SELECT generate_series(1, 1000) AS n');
      return async () => {
        standby.host.sshd.thaw();
        await primary.sql('DROP TABLE more');
        await standby.sql('ALTER SYSTEM RESET primary_conninfo');
        await standby.reload();
      };
    },
  },
  {
    what: 'an archive that is not mounted',
    name: 'archive',
    level: 'critical',
    plant: ({ standby }) => moveAside(standby.archiveDir),
  },
  {
    what: 'what -F999 would refuse',
    name: 'failover',
    about: 'archive',
    level: 'critical',
    plant: ({ standby }) => moveAside(standby.archiveDir),
  },
  {
    what: 'a primary that is silent',
    name: 'primary',
    level: 'critical',
    plant: async ({ primary, standby }) => {
      const postmaster = primary.postmaster() ?? 0;
      sendSignal(postmaster, 'SIGSTOP');
      standby.writeIni({ ssh: writeScript(standby.host, 'ssh', 'exec sleep 300') });
      return Promise.resolve(() => {
        sendSignal(postmaster, 'SIGCONT');
        standby.writeIni({ ssh: standby.host.ssh });
      });
    },
  },
  {
    what: 'a standby beside it that does not answer',
    name: 'standby',
    about: 'another',
    level: 'unknown',
    plant: async ({ world, standby }) => {
      const another = await world.host('another');
      const archiver = await world.asPrimary(standby, ['another']);
      await another.sshd.kill();
      return async () => {
        rmSync(archiver.iniFile);
        await another.sshd.start();
      };
    },
  },
  {
    what: 'settings that are lower than those of the primary',
    name: 'settings',
    level: 'critical',
    plant: async ({ primary }) => {
      primary.configure({ max_connections: 190 });
      await primary.restart();
      await writeSegment(primary);
      return () => undefined;
    },
  },
  {
    what: 'a server that does not run',
    name: 'server',
    level: 'critical',
    plant: async ({ standby }) => {
      await standby.stop('immediate');
      return Promise.resolve(() => undefined);
    },
  },
  {
    what: 'a segment that is missing',
    name: 'gap',
    level: 'critical',
    plant: async ({ primary, standby }) => {
      const lost = await writeSegment(primary);
      await standby.received(lost);
      await primary.sql('CREATE TABLE third AS SELECT 1');
      await standby.received(await primary.switchWal());
      // A hello that comes late asks for what is missing, and brings it back.
      await standby.host.sshd.kill();
      rmSync(join(standby.archiveDir, lost));
      return () => standby.host.sshd.start();
    },
  },
  {
    what: 'a timeline that was left before what was replayed',
    name: 'diverged',
    level: 'critical',
    plant: async ({ world, primary, standby }) => {
      const mark = `mark-left 1 0/1000000 another ${await systemIdentifierOf(primary)}`;
      expectExit(await world.cmdStandby(standby, ['--serve', mark]), 0);
      return () => undefined;
    },
  },
  {
    what: 'a primary that died',
    name: 'primary',
    level: 'critical',
    plant: async ({ primary }) => {
      await primary.kill9();
      return () => undefined;
    },
  },
];

/** All of them are tried: what is not shown is reported at the end. */
async function plantAll(hosts: Hosts, troubles: readonly Trouble[], look: ReturnType<typeof lookOf>) {
  const missed: string[] = [];
  for (const { what, plant, args = [], ...expected } of troubles) {
    const undo = await plant(hosts);
    await expectInAllViews(look, args, expected, what).catch((error: unknown) => {
      missed.push(`${what}: ${String(error)}`);
    });
    await undo();
  }
  if (missed.length > 0) throw new Error(missed.join('\n'));
}

test(
  'each trouble of a primary is shown by the four views of --status',
  { timeout: 600_000 },
  async ({ world }) => {
    const hosts = await healthyPair(world);
    const look = lookOf(hosts, 'cmd_archiver');
    for (const trouble of ofPrimary) {
      await plantAll(hosts, [trouble], look);
      await eventually(async () => (await findingsOf(look)).length === 0, {
        what: `the end of ${trouble.what}`,
        limitMs: 120_000,
      });
    }
    expectExit(await world.cmdArchiver(hosts.primary, ['--abandon', 'standby1']), 0);
    const abandoned = { name: 'standby', about: 'standby1', level: 'critical' } as const;
    await expectInAllViews(lookOf(hosts, 'cmd_archiver'), [], abandoned, 'an abandoned standby');
    await hosts.primary.stop();
    const stopped = { name: 'server', level: 'critical' } as const;
    await expectInAllViews(lookOf(hosts, 'cmd_archiver'), [], stopped, 'a server that is stopped');
  },
);

test(
  'each trouble of a standby is shown by the four views of --status',
  { timeout: 600_000 },
  async ({ world }) => {
    const hosts = await healthyPair(world);
    await plantAll(hosts, ofStandby, lookOf(hosts, 'cmd_standby'));
  },
);

test.skipIf(!hasSmallDisks())('a disk that is 95 % full is shown by the four views', async ({ world }) => {
  const disk = await smallDisk();
  world.onClose(() => {
    disk.release();
  });
  const primary = await world.startPrimary({
    slaves: ['standby1'],
    lArchiveDir: join(disk.directory, 'l_archive'),
    ini: { ...roomyDisks, psql: clientProgram('psql'), disk_warning: 94, disk_critical: 95 },
    start: false,
  });
  expectExit(await world.cmdArchiver(primary, ['-I']), 0);
  disk.fill(1_500_000);
  const full = { name: 'disk', about: 'l_archivedir', level: 'critical' } as const;
  await expectInAllViews(lookBy.cmd_archiver(world, primary), [], full, 'a full disk');
});

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Host, writeScript } from '../harness/host.ts';
import { debianMajor } from '../harness/postgres-programs.ts';
import { archivingSettings, type Primary, primaryOn } from '../harness/primary.ts';
import { mustRun } from '../harness/processes.ts';
import { baseSettings, createServer, type Server, settingLines, trustingHba } from '../harness/server.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { inPgdata, installHelpers } from './backup-kit.ts';
import { addRows, hasRows, makeStandby } from './matrix-kit.ts';
import { countRows, expectExit } from './standby-kit.ts';

const major = debianMajor();

test.override({ major });

const cluster = [String(major), 'main'];

/** Where Debian's tools, and cmd_standby, look in place of /etc/postgresql. */
function confRoot(host: Host): string {
  return join(host.directory, 'etc', 'postgresql');
}

function dataDirectory(host: Host): string {
  return join(host.directory, 'lib', ...cluster);
}

async function debian(host: Host, command: string, ...args: string[]): Promise<void> {
  const env = { ...host.env, PG_CLUSTER_CONF_ROOT: confRoot(host) };
  await mustRun(`/usr/bin/${command}`, [...cluster, ...args], { env });
}

/** What the package makes on a new host, with our settings in its conf.d. */
async function createCluster(host: Host, server: Server, settings: Parameters<typeof settingLines>[0]) {
  mkdirSync(join(host.directory, 'lib'));
  mkdirSync(confRoot(host), { recursive: true });
  const where = ['-d', server.pgdata, '-s', server.socketDirectory, '-l', server.log];
  const how = ['-p', String(server.port), '--start-conf', 'manual', '--', '--no-sync'];
  await debian(host, 'pg_createcluster', ...where, ...how);
  const conf = join(confRoot(host), ...cluster);
  const listen = { listen_addresses: `127.0.0.1, ${host.address}` };
  writeFileSync(
    join(conf, 'conf.d', 'site.conf'),
    settingLines({ ...baseSettings(server), ...listen, ...settings }),
  );
  writeFileSync(join(conf, 'pg_hba.conf'), trustingHba);
}

async function startDebianPrimary(here: World): Promise<Primary> {
  const host = await here.host('primary');
  const server = createServer({
    major,
    pgdata: dataDirectory(host),
    socketDirectory: join(host.directory, 'run'),
    port: await here.port(),
    log: join(host.directory, 'postgresql.log'),
    user: here.user,
    env: host.env,
  });
  await createCluster(host, server, archivingSettings(host));
  here.onClose(async () => {
    if (server.isRunning()) await server.kill9();
  });
  await debian(host, 'pg_ctlcluster', 'start');
  const slaves = [await here.host('standby1')];
  const lArchiveDir = join(host.directory, 'l_archive');
  return primaryOn({ host, server, user: here.user, slaves, lArchiveDir });
}

test(`cmd_standby works with Debian's layout on PostgreSQL ${major}: the configuration is outside the data directory on both hosts`, async ({
  world,
}) => {
  const primary = await startDebianPrimary(world);
  await installHelpers(primary);
  await primary.sql('CREATE TABLE rows (id serial PRIMARY KEY)');
  const host = await world.host('standby1');
  const none = { pg_conf: undefined, pg_hba_conf: undefined };
  const noneToo = {
    pg_conf_failover: undefined,
    pg_hba_conf_failover: undefined,
    pg_ctl: undefined,
    logfile: undefined,
  };
  const standby = await world.addStandby('standby1', primary, {
    pgdata: dataDirectory(host),
    ini: { ...none, ...noneToo, wal_timeout: 60, failover_probe_timeout: 2 },
  });
  await createCluster(host, standby, { work_mem: '7MB' });
  const cmd = { PG_CLUSTER_CONF_ROOT: confRoot(host) };
  Object.assign(host.env, cmd);

  expectExit(await world.cmdArchiver(primary, ['-I']), 0);
  await makeStandby(world, standby);
  expect(existsSync(inPgdata(standby, 'postgresql.conf'))).toBe(false);
  const conf = join(confRoot(host), ...cluster, 'postgresql.conf');
  expect(await standby.value('SHOW config_file')).toBe(conf);
  expect(await standby.value('SHOW work_mem')).toBe('7MB');
  // Where pg_lsclusters says; Debian's server logs in the language of the caller.
  expect(standby.logText()).toMatch(/entering standby mode|Standby-Modus eingeschaltet/);
  expect(existsSync(inPgdata(standby, 'pitrtools-server.log'))).toBe(false);
  await addRows(primary, 100);
  await primary.switchWal();
  await hasRows(standby, 100);

  // From here on by Debian's own command.
  const log = join(host.directory, 'commands.log');
  const control = (what: string) =>
    `echo ${what} >> ${log}; /usr/bin/pg_ctlcluster ${cluster.join(' ')} ${what}`;
  standby.writeIni({
    start_command: control('start'),
    stop_command: `${control('stop')} -m fast`,
    promote_command: control('promote'),
  });
  expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
  expectExit(await world.cmdStandby(standby, ['-A', 'start']), 0);
  // The command starts the server with Debian's file, whatever the INI names.
  writeFileSync(join(host.directory, 'failover.conf'), settingLines(baseSettings(standby)));
  standby.writeIni({ pg_conf_failover: join(host.directory, 'failover.conf') });
  // The old primary must not come back when its host boots.
  const startConf = join(confRoot(primary.host), ...cluster, 'start.conf');
  writeFileSync(startConf, 'auto\n');
  const fence = `exec ${host.ssh} -o BatchMode=yes "$PITRTOOLS_PRIMARY" "echo manual > '${startConf}'"`;
  standby.writeIni({ action_fence: writeScript(host, 'fence', fence) });
  await primary.kill9();
  const failover = await world.cmdStandby(standby, ['-F999']);
  expectExit(failover, 0);
  expect(failover.stderr + failover.stdout).toContain(
    `pg_conf_failover is not in force: the server reads "${conf}"`,
  );
  expect(readFileSync(startConf, 'utf8')).toBe('manual\n');
  expect(readFileSync(log, 'utf8')).toBe('stop\nstart\npromote\nstop\nstart\n');
  expect(await countRows(standby)).toBe(100);
  expect(await standby.value('SHOW config_file')).toBe(conf);
});

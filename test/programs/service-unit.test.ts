import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkControlFile } from '../../src/postgres/control-file.ts';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { run, start } from '../harness/processes.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archivedFiles, type FakeCluster, readyCluster } from './archiver-cluster.ts';
import { addReadySegments, pretendRunning, untilMarked } from './shipper-kit.ts';

const unitFile = checkout('etc', 'pitrtools-shipper.service');
const analyze = '/usr/bin/systemd-analyze';

let world: World;
beforeEach(async () => {
  world = await createWorld({ major: 15 });
});
afterEach(async () => {
  await world.close();
});

/** The unit with the places of this machine, set as its comment asks. */
function unitFor(cluster: FakeCluster): string {
  return readFileSync(unitFile, 'utf8')
    .replace('User=postgres', `User=${world.user}`)
    .replace(/(?<=^ExecStart=)\S+/m, checkout('bin', 'cmd_archiver'))
    .replace(/(?<=-C )\S+/, cluster.iniFile);
}

test('the command of the service unit ships WAL, and its stop by SIGTERM is no failure', async () => {
  const cluster = await readyCluster(world, { slaves: ['s1'] });
  pretendRunning(world, cluster);
  const [, command = ''] = /^ExecStart=(.*)$/m.exec(unitFor(cluster)) ?? [];
  const [program = '', ...args] = command.split(' ');
  expect(args).toEqual(['-C', cluster.iniFile, '--ship']);
  const shipper = start(program, args, { cwd: '/', env: cluster.host.env });
  await eventually(() => shipper.output().includes('shipping from'));
  await untilMarked(cluster, addReadySegments(cluster, 1, 2).keys());
  await eventually(() => cluster.standbys.every((standby) => archivedFiles(standby).length === 2));
  shipper.signal('SIGTERM');
  expect(await shipper.finished).toMatchObject({ code: 0, signal: null });
});

test.skipIf(!existsSync(analyze))('systemd-analyze reports no problem of the service unit', async () => {
  const cluster = await readyCluster(world, { slaves: ['s1'] });
  const copy = join(cluster.host.directory, 'pitrtools-shipper.service');
  writeFileSync(copy, unitFor(cluster));
  const verify = (): ReturnType<typeof run> =>
    run(analyze, ['verify', '--man=no', copy], { env: { ...process.env, SYSTEMD_LOG_TARGET: 'console' } });
  const good = await verify();
  expect(good.code, good.stderr).toBe(0);
  expect(good.stderr).not.toContain('pitrtools-shipper');
  writeFileSync(copy, unitFor(cluster).replace('Restart=on-failure', 'Restart=now-and-then'));
  expect((await verify()).stderr).toMatch(/restart/i);
});

/** The commands of all other units, with the places of this machine. */
const timedUnits = readdirSync(checkout('etc', 'systemd'));

test.skipIf(!existsSync(analyze))(
  'systemd-analyze reports no problem of the timers and their services',
  async () => {
    const host = await world.host('s1');
    for (const name of timedUnits) {
      const unit = readFileSync(checkout('etc', 'systemd', name), 'utf8')
        .replace('User=postgres', `User=${world.user}`)
        .replace(/(?<=^ExecStart=)\S+\/bin\/(%i|\w+)/m, checkout('bin', 'cmd_standby'));
      writeFileSync(join(host.directory, name), unit);
    }
    const instances = timedUnits
      .filter((name) => name.endsWith('.timer'))
      .map((name) => name.replace('@', '@cmd_standby'));
    expect(instances).toHaveLength(4);
    // An instance is a link to its template here: systemd-analyze looks for no template beside it.
    const verified = await run(
      analyze,
      ['verify', '--man=no', ...instances.map((name) => join(host.directory, name))],
      {
        env: { ...process.env, SYSTEMD_LOG_TARGET: 'console', SYSTEMD_UNIT_PATH: `${host.directory}:` },
      },
    );
    expect(verified.code, verified.stderr).toBe(0);
    expect(verified.stderr).not.toContain('pitrtools-');
  },
);

const dropIn = checkout('etc', 'postgresql-may-start.conf');

/** The command of the drop-in as systemd would run it, but as this user. */
function commandOf(program: string, iniFile: string): string {
  const [, command = ''] = /^ExecStartPre=\/bin\/sh -c '(.*)'$/m.exec(readFileSync(dropIn, 'utf8')) ?? [];
  expect(command).toContain('/usr/sbin/runuser -u postgres -- ');
  return command
    .replace('/usr/sbin/runuser -u postgres -- ', '')
    .replace(/\S+\/bin\/cmd_archiver/, program)
    .replace(/(?<=-C )\S+/, iniFile)
    .replaceAll('$$', '$');
}

test("the drop-in of PostgreSQL's unit keeps an old primary down, and starts it if it cannot ask", async () => {
  const primary = await world.startPrimary({ slaves: ['s1'], start: false });
  const { archiveDir } = await world.host('s1');
  mkdirSync(archiveDir, { mode: 0o700 });
  const control = checkControlFile(readFileSync(join(primary.pgdata, 'global', 'pg_control')));
  if (control.kind === 'bad') throw new Error(control.reason);
  const sentinel = `system_identifier: ${control.control.systemIdentifier}\nstandby: s1\n`;
  const start = (program = checkout('bin', 'cmd_archiver')) =>
    run('/bin/sh', ['-c', commandOf(program, primary.iniFile)], { cwd: '/', env: primary.host.env });

  writeFileSync(join(archiveDir, '.pitrtools'), sentinel);
  expect(await start()).toMatchObject({
    code: 0,
    stdout: 'PostgreSQL may start: timeline 1 was not left, as s1 says\n',
  });
  writeFileSync(join(archiveDir, '.pitrtools'), `${sentinel}left: 1 0/1000000 s1\n`);
  const refused = await start();
  expect(refused.stderr).toContain('timeline 1 was left at 0/1000000 by s1, as standby s1 says');
  expect(refused.code).toBe(1);
  expect(await start('/nonexistent/cmd_archiver')).toMatchObject({ code: 0 });
});

test.skipIf(!existsSync(analyze))('systemd-analyze reports no problem of the drop-in', async () => {
  const { directory } = await world.host('primary');
  const unit = join(directory, 'database.service');
  writeFileSync(unit, '[Service]\nType=oneshot\nExecStart=/bin/true\n');
  mkdirSync(`${unit}.d`);
  const verify = async (text: string) => {
    writeFileSync(join(`${unit}.d`, 'pitrtools.conf'), text);
    return run(analyze, ['verify', '--man=no', unit], {
      env: { ...process.env, SYSTEMD_LOG_TARGET: 'console' },
    });
  };
  const text = readFileSync(dropIn, 'utf8');
  const good = await verify(text);
  expect(good.stderr).not.toMatch(/database|pitrtools/);
  expect((await verify(text.replace('Wants=', 'Wishes='))).stderr).toMatch(/pitrtools\.conf/);
});

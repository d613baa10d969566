import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { reservePort } from '../harness/ports.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { mustRun, run, start } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { primaryIni, shippingPair } from './status-kit.ts';

/** Debian's packages; scripts/test installs them where this file runs. */
const promtool = '/usr/bin/promtool';
const prometheus = '/usr/bin/prometheus';
const nodeExporter = '/usr/bin/prometheus-node-exporter';
const rulesFile = checkout('etc', 'prometheus', 'pitrtools-rules.yml');

test.override({ major: failureMajors().at(-1) ?? 15 });

/** What is to be done before the world is closed, the latest first. */
type AtEnd = (() => Promise<unknown>)[];

function startServer(atEnd: AtEnd, { host }: Primary, program: string, args: readonly string[]): void {
  const server = start(program, args, { cwd: host.directory, env: host.env, limitMs: 300_000 });
  atEnd.push(() => {
    server.signal('SIGKILL');
    return server.finished;
  });
}

async function freePort(atEnd: AtEnd): Promise<number> {
  const port = await reservePort();
  atEnd.push(() => port.release());
  return port.number;
}

/** A node_exporter over a directory of its own. */
async function startExporter(atEnd: AtEnd, primary: Primary, name: string) {
  const directory = join(primary.host.directory, name);
  mkdirSync(directory);
  const address = `127.0.0.1:${await freePort(atEnd)}`;
  startServer(atEnd, primary, nodeExporter, [
    '--collector.disable-defaults',
    '--collector.textfile',
    `--collector.textfile.directory=${directory}`,
    `--web.listen-address=${address}`,
  ]);
  return { directory, address };
}

/** The rules as they are, without their waits. */
function hastyRules(primary: Primary): string {
  const file = join(primary.host.directory, 'rules.yml');
  const text = readFileSync(rulesFile, 'utf8');
  writeFileSync(file, text.replaceAll(/for: \d+m/g, 'for: 0s').replace('> 300', '> 8'));
  return file;
}

async function startPrometheus(atEnd: AtEnd, primary: Primary, targets: readonly string[]) {
  const { directory } = primary.host;
  const config = join(directory, 'prometheus.yml');
  writeFileSync(
    config,
    JSON.stringify({
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: [hastyRules(primary)],
      scrape_configs: [{ job_name: 'node', static_configs: [{ targets }] }],
    }),
  );
  await mustRun(promtool, ['check', 'config', config], {});
  const address = `127.0.0.1:${await freePort(atEnd)}`;
  startServer(atEnd, primary, prometheus, [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(directory, 'tsdb')}`,
    `--web.listen-address=${address}`,
  ]);
  return {
    ask: async (path: string): Promise<unknown> => {
      const response = await fetch(`http://${address}/api/v1/${path}`);
      return ((await response.json()) as { data: unknown }).data;
    },
  };
}

type Monitor = Awaited<ReturnType<typeof startPrometheus>>;

interface Alert {
  readonly state: string;
  readonly labels: Readonly<Record<string, string>>;
}

async function firing(monitor: Monitor): Promise<readonly string[]> {
  const { alerts } = (await monitor.ask('alerts')) as { alerts: readonly Alert[] };
  return alerts
    .filter(({ state }) => state === 'firing')
    .map(({ labels }) => [labels['alertname'], labels['name'], labels['about']].filter(Boolean).join(' '));
}

async function hasData(monitor: Monitor): Promise<boolean> {
  const { result } = (await monitor.ask('query?query=changes(pitrtools_timeline[1m])')) as {
    result: unknown[];
  };
  return result.length > 0;
}

/** As the timer does, but without a pause. */
function keepWriting(atEnd: AtEnd, world: World, primary: Primary, file: string) {
  let isOn = true;
  const write = async () => {
    while (isOn) await world.cmdArchiver(primary, ['--status', '--prometheus', file]);
  };
  const ended = write();
  const stop = async () => {
    isOn = false;
    await ended;
  };
  atEnd.push(stop);
  return stop;
}

const noTools = ![promtool, prometheus, nodeExporter].every((file) => existsSync(file));

test.skipIf(noTools)('promtool accepts the rules, and each fires after its time', async () => {
  const checked = await run(promtool, ['check', 'rules', rulesFile], {});
  expect(checked.code, checked.stderr).toBe(0);
  const tests = checkout('test', 'monitoring', 'pitrtools-rules-test.yml');
  const tested = await run(promtool, ['test', 'rules', tests], {});
  expect(tested.code, tested.stdout + tested.stderr).toBe(0);
  const alerts = (file: string) => new Set(readFileSync(file, 'utf8').match(/\bPitrtools\w+/g));
  expect(alerts(tests)).toEqual(alerts(rulesFile));
});

test.skipIf(noTools)('promtool accepts every expression of the board', async ({ world }) => {
  const host = await world.host('s1');
  const board = readFileSync(checkout('etc', 'grafana', 'pitrtools.json'), 'utf8');
  const { panels } = JSON.parse(board) as { panels: { targets: { expr: string }[] }[] };
  const expressions = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  expect(expressions.length).toBeGreaterThan(10);
  const rules = expressions.map((expr, index) => ({
    record: `expression:${index}`,
    expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*'),
  }));
  const file = join(host.directory, 'board.yml');
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'board', rules }] }));
  const checked = await run(promtool, ['check', 'rules', file], {});
  expect(checked.code, checked.stderr).toBe(0);
});

async function watchTroubles(atEnd: AtEnd, world: World): Promise<void> {
  const { primary, standby } = await shippingPair(world);
  const directory = join(primary.host.directory, 'metrics');
  mkdirSync(directory);
  const file = join(directory, 'cmd_archiver.prom');
  expect(await world.cmdArchiver(primary, ['--status', '--prometheus', file])).toMatchObject({ code: 0 });
  const checked = await run(promtool, ['check', 'metrics'], { stdin: readFileSync(file) });
  expect(checked.code, checked.stdout + checked.stderr).toBe(0);

  const here = await startExporter(atEnd, primary, 'here');
  const other = await startExporter(atEnd, primary, 'other');
  symlinkSync(file, join(here.directory, 'cmd_archiver.prom'));
  const stopWriting = keepWriting(atEnd, world, primary, file);
  const monitor = await startPrometheus(atEnd, primary, [here.address, other.address]);
  const limitMs = 180_000;
  const fires = (alert: string) =>
    eventually(async () => (await firing(monitor)).includes(alert), { what: `the alert ${alert}`, limitMs });
  const isQuiet = () =>
    eventually(async () => (await firing(monitor)).length === 0, { what: 'the end of the alerts', limitMs });
  await eventually(() => hasData(monitor).catch(() => false), { what: 'the first samples', limitMs });
  // Rates are not known at first.
  await isQuiet();

  // archive_command fails. The alert looks at a quarter of an hour: nothing may be archived before.
  const archiveCommand = await primary.value('SHOW archive_command');
  primary.configure({ archive_command: '/bin/false' });
  await primary.reload();
  await primary.switchWal();
  await fires('PitrtoolsArchiveCommandFails');
  primary.configure({ archive_command: archiveCommand });
  await primary.reload();

  // The standby is cut off.
  await standby.sshd.kill();
  await primary.archived(await primary.switchWal());
  await fires('PitrtoolsWarning standby standby1');
  await standby.sshd.start();

  // Nothing can be asked.
  primary.writeIni({ ...primaryIni, psql: writeScript(primary.host, 'psql', 'exit 1') });
  await fires('PitrtoolsUnknown archiving');
  primary.writeIni(primaryIni);
  await isQuiet();

  // The server is down, and comes back on another timeline.
  await primary.stop();
  await fires('PitrtoolsCritical server');
  await fires('PitrtoolsNoPrimary');
  writeFileSync(join(primary.pgdata, 'standby.signal'), '');
  await primary.start();
  expect(await primary.value('SELECT pg_promote()')).toBe('true');
  await fires('PitrtoolsRoleChanged');

  // Another host says the same of itself.
  copyFileSync(file, join(other.directory, 'cmd_archiver.prom'));
  await fires('PitrtoolsTwoPrimaries');
  rmSync(join(other.directory, 'cmd_archiver.prom'));
  await fires('PitrtoolsMetricsAbsent');

  await stopWriting();
  await fires('PitrtoolsMetricsOld');
}

test.skipIf(noTools)(
  'a real Prometheus scrapes the metrics through node_exporter, and fires each alert',
  { timeout: 300_000 },
  async ({ world }) => {
    const atEnd: AtEnd = [];
    try {
      await watchTroubles(atEnd, world);
    } finally {
      for (const end of atEnd.reverse()) await end();
    }
  },
);

/** NRPE runs a command of its own file through the shell, with an environment of its own and no standard input. */
function nrpeCommand(name: string, iniFile: string): string {
  const config = readFileSync(checkout('etc', 'nagios', 'pitrtools-nrpe.cfg'), 'utf8');
  const [, command = ''] = new RegExp(`^command\\[${name}\\]=(.*)$`, 'm').exec(config) ?? [];
  expect(command).toContain('/usr/bin/sudo -n -u postgres ');
  return command
    .replace('/usr/bin/sudo -n -u postgres ', '')
    .replace(/\S+\/bin\//, `${checkout('bin')}/`)
    .replace(/(?<=-C )\S+/, iniFile);
}

test('the command of NRPE gives one line and the exit status of Nagios', async ({ world }) => {
  const { primary } = await shippingPair(world);
  const command = nrpeCommand('pitrtools_archiver', primary.iniFile);
  const check = () => run('/bin/sh', ['-c', command], { cwd: '/', env: { PATH: process.env['PATH'] } });
  await primary.archived(await primary.switchWal());
  const well = await check();
  expect(well).toMatchObject({ code: 0, stderr: '' });
  expect(well.stdout).toMatch(/^cmd_archiver OK - [^|\n]*: nothing to report \| '[^\n]*\n$/);
  await primary.stop();
  const stopped = await check();
  expect(stopped.code).toBe(2);
  expect(stopped.stdout).toMatch(
    /^cmd_archiver CRITICAL - [^|\n]*: PostgreSQL does not run on [^|\n]* \| '[^\n]*\n$/,
  );
});

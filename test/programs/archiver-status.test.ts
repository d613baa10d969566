import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { start } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { shippingPair } from './status-kit.ts';

test.override({ major: failureMajors().at(-1) ?? 15 });

interface Status {
  readonly level: string;
  readonly findings: readonly { readonly name: string; readonly level: string; readonly hint?: string }[];
  readonly facts: {
    readonly standbys: readonly {
      readonly state: unknown;
      readonly queue: { readonly value: { files: number } };
    }[];
  };
}

const fitsSchema = new Ajv().compile(
  JSON.parse(readFileSync(checkout('doc', 'status.schema.json'), 'utf8')) as object,
);

// eslint-disable-next-line no-control-regex -- these are what is looked for
const controlSequence = /\u001B\[[?\d]*[a-zA-Z]/g;

async function statusOf(world: World, primary: Primary, ...more: string[]): Promise<Status> {
  const result = await world.cmdArchiver(primary, ['--status', '--json', ...more]);
  expect(result).toMatchObject({ code: 0, stderr: '' });
  const status: unknown = JSON.parse(result.stdout);
  if (!fitsSchema(status)) throw new Error(JSON.stringify(fitsSchema.errors));
  return status as Status;
}

const named = ({ findings }: Status) => findings.map(({ name, level }) => `${name} ${level}`);

test('--status finds nothing on a healthy host, and each trouble in all of its forms', async ({ world }) => {
  const { primary, standby } = await shippingPair(world);
  await primary.archived(await primary.switchWal());
  const well = await statusOf(world, primary);
  expect(named(well)).toEqual([]);
  expect(await world.cmdArchiver(primary, ['--status', '--nagios'])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^cmd_archiver OK - .*: nothing to report \| .*'shipper_up'=1/) as string,
  });
  const text = await world.cmdArchiver(primary, ['--status']);
  expect(text.stdout).toMatch(/: all is well\n\nThis host:\n {2}role +primary\n/);
  expect(text.stdout).toMatch(/\n {2}standby1 +ok +none +no +\S/);

  // The standby is cut off: its WAL is queued, and that counts once it is much and waits for long.
  await standby.sshd.kill();
  await primary.archived(await primary.switchWal());
  await eventually(async () => (await statusOf(world, primary)).facts.standbys[0]?.queue.value.files === 1, {
    what: 'the queue',
  });
  const cut = await statusOf(world, primary, '--warning', '1B,0', '--critical', '1GB,0');
  expect(named(cut)).toEqual(['standby warning', 'queue warning']);
  expect(named(await statusOf(world, primary, '--live'))).toEqual(['standby warning', 'standby unknown']);
  expect(named(await statusOf(world, primary))).toEqual(['standby warning']);
  expect(await world.cmdArchiver(primary, ['--status', '--nagios', '--critical', '1B,0'])).toMatchObject({
    code: 2,
    stdout: expect.stringMatching(
      /^cmd_archiver CRITICAL - .*: 1 WAL files \(16\.0 MB\) are queued for standby standby1/,
    ) as string,
  });
  const file = join(primary.host.directory, 'pitrtools.prom');
  expect(await world.cmdArchiver(primary, ['--status', '--prometheus', file])).toMatchObject({
    code: 0,
    stdout: '',
  });
  const metrics = readFileSync(file, 'utf8');
  expect(metrics).toContain('pitrtools_queue_files{program="cmd_archiver",standby="standby1"} 1\n');
  expect(metrics).toContain('pitrtools_standby_healthy{program="cmd_archiver",standby="standby1"} 0\n');
  expect(statSync(file).mode & 0o777).toBe(0o644);

  await standby.sshd.start();
  await eventually(async () => named(await statusOf(world, primary)).length === 0, {
    what: 'the end of the queue',
  });

  // Settings of the server that do not archive by this program.
  primary.configure({ archive_command: '/bin/true' });
  await primary.reload();
  await eventually(async () => named(await statusOf(world, primary)).includes('archiving unknown'), {
    what: 'another archive_command',
  });
  await primary.stop();
  const stopped = await statusOf(world, primary);
  expect(named(stopped)).toEqual(['server critical']);
  for (const { hint } of stopped.findings) expect(hint).toBeDefined();
});

test('--status shows the rest where the server does not answer', async ({ world }) => {
  const { primary } = await shippingPair(world);
  primary.writeIni({ psql: writeScript(primary.host, 'psql', 'exec sleep 60') });
  const { level, findings, facts } = await statusOf(world, primary);
  expect(level).toBe('unknown');
  expect(findings.map(({ name }) => name)).toEqual(['archiving']);
  expect(facts.standbys[0]?.queue.value.files).toBe(0);
  const text = await world.cmdArchiver(primary, ['--status']);
  expect(text.stdout).toMatch(/\n {2}WAL written to +unknown\n/);
  expect(text.stdout).toMatch(/Not known:\n.*written.* no answer within 2.5 s/);
});

test('--status refuses what it cannot do', async ({ world }) => {
  const { primary } = await shippingPair(world);
  const refused = async (...args: string[]) => {
    const result = await world.cmdArchiver(primary, args);
    // Nagios takes 2 for critical, and shows nothing but standard output.
    if (args.includes('--nagios')) expect(result).toMatchObject({ code: 3 });
    else expect(result).toMatchObject({ code: 2, stdout: '' });
    return result.stderr;
  };
  expect(await refused('--status', '--json', '--nagios')).toContain(
    '--json and --nagios cannot be used together',
  );
  expect(await refused('--nagios')).toContain('--nagios can be used only with --status');
  expect(await refused('--live')).toContain('--live can be used only with --status');
  expect(await refused('--status', '--warning', '12')).toContain('is not SIZE,SECONDS, such as 64MB,300');
  expect(await refused('--status', '--watch', 'soon')).toContain('is not a number of seconds');
  const nowhere = join(primary.host.directory, 'none', 'x.prom');
  expect(await world.cmdArchiver(primary, ['--status', '--prometheus', nowhere])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`cannot write "${nowhere}"`) as string,
  });
});

test('--watch shows it again on a terminal, and leaves the terminal as it was', async ({ world }) => {
  const { primary } = await shippingPair(world);
  const { directory, env } = primary.host;
  const recording = join(directory, 'terminal');
  const pidFile = join(directory, 'pid');
  const call = `exec '${checkout('bin', 'cmd_archiver')}' -C '${primary.iniFile}' --status --watch 0.5`;
  const command = `stty cols 60 rows 12; echo $$ > '${pidFile}'; ${call}`;
  const script = start('script', ['-q', '-e', '-f', '-c', command, recording], {
    env: { ...env, TERM: 'xterm' },
    cwd: directory,
  });
  const shown = () => (existsSync(recording) ? readFileSync(recording, 'utf8') : '');
  await eventually(() => shown().split('\u001B[H').length > 3, { what: 'two screens' });
  // As the terminal does for Ctrl-C.
  process.kill(-Number(readFileSync(pidFile, 'utf8')), 'SIGINT');
  await script.finished;
  const [before = '', rest = ''] = shown().split('\u001B[?1049h');
  const [screens = '', after = ''] = rest.split('\u001B[?1049l');
  expect(before).not.toContain('This host');
  expect(after).not.toContain('This host');
  expect(rest.lastIndexOf('\u001B[?25h')).toBeGreaterThan(rest.lastIndexOf('This host'));
  for (const frame of screens.split('\u001B[H').slice(1)) {
    const lines = frame
      .replaceAll(controlSequence, '')
      .split(/\r?\n/)
      .filter((line) => line !== '');
    expect(lines.length).toBeLessThan(12);
    expect(lines[0]).toContain('(cmd_archiver): ');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(60);
  }
});

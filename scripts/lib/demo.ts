// The story of scripts/demo, by the harness of the tests: every command is a real one, shown with its output.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { checkout } from '../../test/harness/checkout.ts';
import { eventually } from '../../test/harness/eventually.ts';
import type { Primary } from '../../test/harness/primary.ts';
import { run } from '../../test/harness/processes.ts';
import type { Standby } from '../../test/harness/standby.ts';
import { createWorld, type World } from '../../test/harness/world.ts';
import { createTraffic, type Traffic } from './demo-traffic.ts';

const secondsOfTraffic = 8;

function say(text = ''): void {
  process.stdout.write(`${text}\n`);
}

function chapter(title: string): void {
  say(`\n== ${title}`);
}

interface Stage {
  readonly world: World;
  readonly alpha: Primary;
  readonly beta: Standby;
}

/** Runs one of our programs as its host's user would, and shows both of its streams as they came. */
async function show(program: string, place: Primary | Standby, args: readonly string[]): Promise<void> {
  const command = [program, '-C', place.iniFile, ...args].join(' ');
  say(`$ ${command}`);
  const words = ['-c', 'exec "$@" 2>&1', 'sh', checkout('bin', program), '-C', place.iniFile, ...args];
  const result = await run('/bin/sh', words, { cwd: place.host.directory, env: place.host.env });
  for (const line of result.stdout.trimEnd().split('\n')) say(`  ${line}`);
  if (result.code !== 0) throw new Error(`"${command}" exited ${String(result.code ?? result.signal)}`);
}

const archiver = ({ alpha }: Stage, ...args: string[]) => show('cmd_archiver', alpha, args);
const standby = ({ beta }: Stage, ...args: string[]) => show('cmd_standby', beta, args);

async function setTheStage(world: World): Promise<Stage> {
  chapter('Two hosts on this machine, each with its own directories and its own sshd');
  const alpha = await world.startPrimary({ name: 'alpha', slaves: ['beta'], ini: { debug: 'off' } });
  const beta = await world.addStandby('beta', alpha, { ini: { debug: 'off' } });
  say(`alpha, the primary: ${await alpha.value('SHOW server_version')}, ${alpha.pgdata}`);
  say(`  archive_command = ${await alpha.value('SHOW archive_command')}`);
  say(`beta, to become its standby: ${beta.pgdata}`);
  return { world, alpha, beta };
}

async function setUp(stage: Stage): Promise<void> {
  chapter('The primary makes a queue for each standby and gets the helper functions');
  await archiver(stage, '-I');
  const file = helperFile(stage.world.major);
  say(`$ psql < scripts/${file}`);
  say(`  ${(await stage.alpha.psqlFile(checkout('scripts', file))).trim().replaceAll('\n', '\n  ')}`);
  chapter('The standby: directories, a base backup, and on');
  await standby(stage, '-I');
  await standby(stage, '-B');
  await standby(stage, '-S');
}

function helperFile(major: number): string {
  const numbered = readdirSync(checkout('scripts'))
    .flatMap((name) => /^cmd_standby\.(\d+)\.sql$/.exec(name)?.[1] ?? [])
    .map((digits) => ({ digits, major: Number(digits) > 80 ? Number(digits) / 10 : Number(digits) }))
    .filter((file) => file.major <= major)
    .sort((a, b) => b.major - a.major);
  return numbered[0] === undefined ? 'cmd_standby.sql' : `cmd_standby.${numbered[0].digits}.sql`;
}

async function runTraffic(stage: Stage): Promise<Traffic> {
  chapter(`Traffic on alpha for ${secondsOfTraffic} seconds; WAL arrives at beta`);
  const traffic = await createTraffic(stage.alpha);
  const before = new Set(stage.beta.archive());
  const end = Date.now() + secondsOfTraffic * 1000;
  while (Date.now() < end) {
    const segment = await stage.alpha.switchWal();
    await stage.beta.received(segment);
    say(`  ${segment} is at beta; rows acknowledged so far: ${traffic.acknowledged().length}`);
    await traffic.waitForRows(traffic.acknowledged().length + 200);
  }
  say(
    `  ${stage.beta.archive().filter((name) => !before.has(name)).length} files arrived in ${stage.beta.archiveDir}`,
  );
  return traffic;
}

/** Kills alpha under full load, and determines what it had archived by then. */
async function killPrimary({ alpha, beta }: Stage, traffic: Traffic): Promise<number[]> {
  chapter('alpha dies: SIGKILL to every process of its PostgreSQL');
  const pid = alpha.postmaster();
  await alpha.kill9();
  await traffic.stopped;
  say(`$ kill -9 ${pid ?? '?'}`);
  const done = alpha
    .archiveStatus()
    .filter((name) => /^[0-9A-F]{24}\.done$/.test(name))
    .map((name) => name.slice(0, 24));
  const last = done.sort().at(-1) ?? '';
  const archived = traffic
    .acknowledged()
    .filter((row) => row.segment <= last)
    .map((row) => row.id);
  say(
    `  acknowledged rows: ${traffic.acknowledged().length}; of these in archived WAL (to ${last}): ${archived.length}`,
  );
  say(
    '  The others were in the segment under way. Shipped WAL cannot hold them; streaming replication would.',
  );
  say(`  beta has ${beta.archive().length} files of WAL.`);
  return archived;
}

let firstWriteAt = 0;

/** Fails over while a client tries to write all the time. Returns the seconds until its first write was accepted. */
async function failOver(stage: Stage): Promise<number> {
  chapter('beta takes over');
  const began = performance.now();
  const knocking = eventually(() => write(stage.beta), {
    limitMs: 120_000,
    everyMs: 50,
    what: 'a write on beta',
  });
  await standby(stage, '-F999');
  await knocking;
  const seconds = (firstWriteAt - began) / 1000;
  say(`  first accepted write ${seconds.toFixed(1)} s after -F999 was typed`);
  return seconds;
}

async function write(beta: Standby): Promise<boolean> {
  const client = new pg.Client({
    host: beta.socketDirectory,
    port: beta.port,
    user: beta.user,
    database: 'postgres',
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('INSERT INTO after_failover DEFAULT VALUES');
    firstWriteAt = performance.now();
    return true;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function countRows(
  { beta }: Stage,
  archived: readonly number[],
): Promise<{ present: number; lost: number }> {
  chapter('What is there');
  const rows = await beta.sql('SELECT id FROM demo');
  const present = new Set(rows.map((row) => Number(row['id'])));
  return { present: present.size, lost: archived.filter((id) => !present.has(id)).length };
}

function table(rows: readonly (readonly [string, string | number])[]): void {
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, value] of rows) say(`  ${name.padEnd(width)}  ${value}`);
}

async function main(): Promise<void> {
  const major = Number(process.env['PITRTOOLS_DEMO_MAJOR'] ?? '15');
  const world = await createWorld({ major });
  try {
    const stage = await setTheStage(world);
    await setUp(stage);
    const traffic = await runTraffic(stage);
    const archived = await killPrimary(stage, traffic);
    const shipped = stage.beta.archive().filter((name) => name.length === 24).length;
    const seconds = await failOver(stage);
    const { present, lost } = await countRows(stage, archived);
    table([
      ['PostgreSQL', major],
      ['segments shipped', shipped],
      ['rows acknowledged before the kill and archived', archived.length],
      ['rows present after the failover', present],
      ['archived rows lost', lost],
      ['seconds from -F999 to the first accepted write', seconds.toFixed(1)],
    ]);
    say(lost === 0 ? '\nNo archived row was lost.' : '\nARCHIVED ROWS WERE LOST.');
    process.exitCode = lost === 0 && archived.length > 0 ? 0 : 1;
  } catch (error) {
    say(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
    say(`Server logs: ${join(world.directory, '*', 'postgresql.log')} (removed with the demo's directory)`);
    process.exitCode = 1;
  } finally {
    await world.close();
  }
}

await main();

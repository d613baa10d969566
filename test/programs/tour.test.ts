import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { type Host, writeScript } from '../harness/host.ts';
import { clientProgram, newestMajors, serverProgram } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { type Finished, start } from '../harness/processes.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { countRows } from './standby-kit.ts';

/** A fenced block of the tour, and the sentences before it. */
interface Block {
  readonly language: string;
  readonly text: string;
  readonly before: string;
}

/** The tour of the README in its numbered parts; the first one has no number. */
function partsOfTheTour(): readonly (readonly Block[])[] {
  const page = readFileSync(checkout('README.md'), 'utf8');
  const tour = page.split(/^## /m).find((section) => section.startsWith('A tour')) ?? '';
  return tour.split(/^\*\*\d\. /m).map((part) =>
    [...part.matchAll(/([^]*?)^```(\w*)\n([^]*?)^```$/gm)].map(
      ([, before = '', language = '', text = '']) => ({
        before,
        language,
        text,
      }),
    ),
  );
}

interface Stage {
  readonly alpha: Primary;
  readonly beta: Standby;
}

const directoryOn = (host: Host) => join(host.directory, 'pitrtools');

/** The paths and names of the page, as they are on this machine, which both hosts share. */
function here({ alpha, beta }: Stage, text: string, on: 'alpha' | 'beta'): string {
  const [own, pgdata] = on === 'alpha' ? [alpha.host, alpha.pgdata] : [beta.host, beta.pgdata];
  return text
    .replaceAll('/var/lib/postgresql/pitrtools', directoryOn(own))
    .replaceAll('/var/lib/postgresql/15/main', pgdata)
    .replaceAll('/var/lib/postgresql/archive', join(own.directory, 'archive'))
    .replaceAll('/var/run/postgresql', (on === 'alpha' ? beta : alpha).socketDirectory);
}

/** Two hosts of the page have the same paths, and each has its ports, its programs and its ssh for itself. */
function forThisMachine({ alpha, beta }: Stage, on: 'alpha' | 'beta', program: string, user: string): string {
  const [own, other] = on === 'alpha' ? [alpha, beta] : [beta, alpha];
  const common = `ssh: ${own.host.ssh}\nuser: ${user}\n`;
  if (program === 'cmd_archiver.ini')
    return `${common}\n[${other.name}]\nhost: ${other.host.address}\nr_archivedir: ${other.host.archiveDir}\n`;
  const etc = join(own.host.directory, 'etc', 'pg_conf');
  return `${common}master_public_ip: ${other.host.address}
port: ${other.port}
local_port: ${own.port}
pg_ctl: ${serverProgram(own.major, 'pg_ctl')}
r_psql: ${clientProgram('psql')}
dbname: postgres
${on === 'alpha' ? '' : `pg_conf: ${join(etc, 'postgresql.conf')}\npg_hba_conf: ${join(etc, 'pg_hba.conf')}\n`}`;
}

/** The page's file on that host. A key that this machine needs otherwise replaces the page's. */
function writeIni(stage: Stage, on: 'alpha' | 'beta', program: string, text: string, user: string): void {
  const more = forThisMachine(stage, on, program, user);
  const [replaced = ''] = more.split('\n[');
  const keys = new Set(replaced.split('\n').map((line) => line.split(':')[0]));
  const kept = here(stage, text, on)
    .split('\n')
    .filter((line) => !keys.has(line.split(':')[0] ?? ''));
  const { host } = on === 'alpha' ? stage.alpha : stage.beta;
  writeFileSync(join(directoryOn(host), 'etc', program), `${kept.join('\n')}\n${more}`, { mode: 0o600 });
}

/** A checkout on that host, with psql and ssh on the PATH as a login has them. */
function checkOut(host: Host): void {
  const directory = directoryOn(host);
  mkdirSync(join(directory, 'etc'), { recursive: true });
  for (const name of ['bin', 'dist', 'node_modules', 'package.json', 'scripts'])
    symlinkSync(checkout(name), join(directory, name));
  symlinkSync(clientProgram('psql'), join(host.directory, 'bin', 'psql'));
  writeScript(host, 'ssh', `exec ${host.ssh} -o BatchMode=yes -o StrictHostKeyChecking=accept-new "$@"`);
}

async function setStage(world: World): Promise<Stage> {
  const [a, b] = [await world.host('alpha'), await world.host('beta')];
  for (const host of [a, b]) checkOut(host);
  const alpha = await world.startPrimary({
    name: 'alpha',
    slaves: ['beta'],
    settings: { archive_mode: false, archive_command: undefined },
  });
  if (world.user !== 'postgres') await alpha.sql('CREATE ROLE postgres SUPERUSER LOGIN');
  await alpha.sql('CREATE TABLE rows (id serial PRIMARY KEY)');
  const beta = await world.addStandby('beta', alpha, { settings: { archive_mode: false } });
  return { alpha, beta };
}

async function type({ alpha, beta }: Stage, line: string): Promise<Finished> {
  const [, name, command] = /^(alpha|beta)\$ (.*)$/.exec(line) ?? [];
  if (name === undefined || command === undefined) throw new Error(`no command on a host: ${line}`);
  const server = name === 'alpha' ? alpha : beta;
  const env = {
    ...server.host.env,
    PATH: `${join(server.host.directory, 'bin')}:${process.env['PATH'] ?? ''}`,
    PGHOST: server.socketDirectory,
    PGPORT: String(server.port),
    PGDATABASE: 'postgres',
  };
  return start('/bin/sh', ['-c', command], { cwd: directoryOn(server.host), env, limitMs: 120_000 }).finished;
}

/** Only -P has another exit status: the primary is dead there. */
async function typeAll(stage: Stage, text: string): Promise<string> {
  let output = '';
  for (const line of text.trimEnd().split('\n')) {
    const { code, stdout, stderr } = await type(stage, line);
    if (line.endsWith(' -P')) expect(code).toBeGreaterThanOrEqual(10);
    else expect(code, `${line}\n${stdout}${stderr}`).toBe(0);
    output += stdout;
  }
  return output;
}

describe.each(newestMajors())('the tour of the README on PostgreSQL %i', (major) => {
  test.override({ major });

  test('is typed as it stands there, and works', async ({ world }) => {
    const parts = partsOfTheTour();
    expect(parts).toHaveLength(6);
    const stage = await setStage(world);
    const { alpha, beta } = stage;
    const inis = new Map<string, string>();
    const outputs: string[] = [];
    for (const [number, blocks] of parts.entries()) {
      if (number === 4) {
        await alpha.sql('INSERT INTO rows SELECT FROM generate_series(1, 20)');
        await beta.received(await alpha.switchWal());
        await alpha.kill9();
      }
      if (number === 5) writeExchanged(stage, inis, world.user);
      let output = '';
      for (const { language, text, before } of blocks) {
        if (language === 'ini') {
          const [, program = '', on = ''] = [...before.matchAll(/`etc\/(\w+\.ini)` on (\w+)/g)].at(-1) ?? [];
          inis.set(program, text);
          writeIni(stage, on === 'alpha' ? 'alpha' : 'beta', program, text, world.user);
        } else if (text.startsWith('archive_mode')) await archive(stage, text);
        else output += await typeAll(stage, text);
      }
      outputs.push(output);
    }
    expect(outputs[2]).toContain('Standby is ready\n');
    expect(outputs[2]).toContain('Base backup finished successfully\n');
    expect(outputs[2]).toContain('Successfully entered standby mode\n');
    expect(outputs[4]).toContain('Failover finished\n');
    expect(outputs[5]).toMatch(/^Follows .*timeline 2/m);
    expect(await countRows(beta)).toBe(20);
    await beta.sql('INSERT INTO rows DEFAULT VALUES');
    await beta.switchWal();
    await eventually(async () => (await countRows(alpha)) === 21, { what: 'the row of the new primary' });
  });
});

/** The lines of postgresql.conf on both hosts; then alpha's server is restarted. */
async function archive(stage: Stage, text: string): Promise<void> {
  const { alpha, beta } = stage;
  const conf = join(beta.host.directory, 'etc', 'pg_conf', 'postgresql.conf');
  writeFileSync(join(alpha.pgdata, 'postgresql.conf'), here(stage, text, 'alpha'), { flag: 'a' });
  writeFileSync(conf, here(stage, text, 'beta'), { flag: 'a' });
  await alpha.restart();
}

/** "Write the same two files for the other direction." */
function writeExchanged(stage: Stage, inis: ReadonlyMap<string, string>, user: string): void {
  const exchange = (name: string) =>
    (inis.get(name) ?? '').replaceAll(/\b(?:alpha|beta)\b/g, (host) => (host === 'alpha' ? 'beta' : 'alpha'));
  writeIni(stage, 'beta', 'cmd_archiver.ini', exchange('cmd_archiver.ini'), user);
  writeIni(stage, 'alpha', 'cmd_standby.ini', exchange('cmd_standby.ini'), user);
}

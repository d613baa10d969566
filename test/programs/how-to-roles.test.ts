import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import type { IniKeys } from '../harness/ini.ts';
import { testMajors } from '../harness/postgres-programs.ts';
import { archivingSettings, type Primary } from '../harness/primary.ts';
import { run } from '../harness/processes.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { installHelpers } from './backup-kit.ts';
import { addressOf } from './follow-kit.ts';
import { makeStandby } from './matrix-kit.ts';
import { expectExit } from './standby-kit.ts';
import { hasRows, insertRows, isPrimary, ownConfiguration } from './switchover-kit.ts';

/** A command of the page, and the lines that the page shows below it. */
interface Typed {
  readonly host: HostName;
  readonly command: string;
  readonly output: readonly string[];
}

const hostNames = ['alpha', 'beta', 'gamma'] as const;
type HostName = (typeof hostNames)[number];

function sectionOfThePage(): string {
  const page = readFileSync(checkout('doc', 'how-to.md'), 'utf8');
  return page.split(/^## /m).find((section) => section.startsWith('6. Three hosts')) ?? '';
}

function commandsOf(section: string): Typed[] {
  return [...section.matchAll(/^```\n(.*?)^```$/gms)].flatMap(([, block = '']) => {
    const parts = block.split(/^(?=\w+\$ )/m);
    return parts.map((part) => {
      const [first = '', ...output] = part.trimEnd().split('\n');
      const [, name, command] = /^(\w+)\$ (.*)$/.exec(first) ?? [];
      const host = hostNames.find((each) => each === name);
      if (host === undefined || command === undefined) throw new Error(`no command on a host: ${first}`);
      return { host, command, output };
    });
  });
}

interface Trio {
  readonly alpha: Primary;
  readonly beta: Standby;
  readonly gamma: Standby;
}

/** What must be in place before, as the page has it. */
async function makeTrio(world: World): Promise<Trio> {
  const hosts = {
    alpha: await world.host('alpha'),
    beta: await world.host('beta'),
    gamma: await world.host('gamma'),
  };
  const quiet: IniKeys = { debug: undefined };
  const feeds = (names: readonly HostName[]) =>
    Object.fromEntries(
      names.map((name) => [name, { host: hosts[name].address, r_archivedir: hosts[name].archiveDir }]),
    );
  const ofAlpha = ['beta', 'gamma'] as const;
  const alpha = await world.startPrimary({
    name: 'alpha',
    slaves: ofAlpha,
    ini: quiet,
    sections: feeds(ofAlpha),
  });
  await alpha.sql('CREATE TABLE rows (id serial PRIMARY KEY)');
  await installHelpers(alpha);
  expectExit(await world.cmdArchiver(alpha, ['-I']), 0);
  const keys = { ...quiet, use_streaming_replication: 'on', action_failover: undefined };
  const add = async (name: 'beta' | 'gamma', others: readonly HostName[]) => {
    const settings = archivingSettings(hosts[name]);
    const ini = { ...keys, public_ip: hosts[name].address };
    const standby = await world.addStandby(name, alpha, { settings, ini });
    await makeStandby(world, standby);
    const asPrimary = await world.asPrimary(standby, others);
    asPrimary.writeIni(quiet, feeds(others));
    expectExit(await world.cmdArchiver(asPrimary, ['-I']), 0);
    return standby;
  };
  const beta = await add('beta', ['alpha', 'gamma']);
  const gamma = await add('gamma', ['alpha', 'beta']);
  const { pgdata } = alpha;
  await world.addStandby('alpha', alpha, { pgdata, ini: { ...keys, ...ownConfiguration } });
  return { alpha, beta, gamma };
}

/**
 * The hosts of the page share no machine. They need no ports and no directories of their own, and no warning that the others'
 * addresses are addresses of this machine.
 */
function asOnThePage(text: string, trio: Trio): string[] {
  const changes = Object.values(trio).flatMap(
    ({ host, port, pgdata }: Primary | Standby): [string, string][] => [
      [`ECONNREFUSED ${host.address}:${port}`, 'ECONNREFUSED 192.0.2.1:5432'],
      [` (host ${host.address})`, ''],
      [`${host.address}:${port}`, host.name],
      [`${host.address} port ${host.sshd.port}`, `${host.name} port 22`],
      [host.address, host.name],
      [`, port: ${port}`, ''],
      [pgdata, '/var/lib/postgresql/15/main'],
      [host.archiveDir, '/var/lib/postgresql/archive'],
      [host.directory, '/var/lib/postgresql/pitrtools'],
    ],
  );
  const changed = changes.reduce((shown, [from, to]) => shown.replaceAll(from, to), text);
  return (
    changed
      .replaceAll(/^.*is this very host\n/gm, '')
      // On a busy machine.
      .replaceAll(/^NOTICE: standby \w+ did not answer the second time .*\n/gm, '')
      .replaceAll(/^WARNING: archive_command .* which is this host\nHINT: .*\n/gm, '')
      .trimEnd()
      .split('\n')
  );
}

/** Takes out what differs from run to run. */
function comparable(line: string): string {
  return line
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00/g, 'TIME')
    .replaceAll(/\b[0-9A-F]+\/[0-9A-F]+\b/g, 'LSN')
    .replaceAll(/\b(\d+ min )?\d+(\.\d)? s\b/g, 'SECONDS')
    .replaceAll(/\bcluster \d+/g, 'cluster ID');
}

/** A line `...` of the page stands for any lines. */
function expectShown(lines: readonly string[], page: readonly string[]): void {
  const parts = page.join('\n').split(/^\.\.\.$/m);
  const pattern = parts.map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)).join('[^]*');
  expect(lines.join('\n')).toMatch(new RegExp(`^${pattern}$`));
}

describe('the failover of three hosts in the how-to', () => {
  test.override({ major: testMajors().at(-1) ?? 18 });

  test('goes as it is typed there', { timeout: 300_000 }, async ({ world }) => {
    const section = sectionOfThePage();
    const typed = commandsOf(section);
    expect(section).toContain(`That is all: ${typed.length} commands and no edited file.`);
    const trio = await makeTrio(world);
    const { alpha, beta, gamma } = trio;
    await insertRows(alpha, 100);
    for (const standby of [beta, gamma]) await hasRows(standby, 100);
    await alpha.kill9();
    await alpha.host.sshd.kill();

    for (const { host, command, output } of typed) {
      const server = trio[host];
      if (!server.host.sshd.isRunning()) await server.host.sshd.start();
      const real = command
        .replace(/^bin\//, `${checkout('bin')}/`)
        // Nothing but ssh knows the hosts of a world by name.
        .replace(/ (--follow|--rejoin) beta\b/, ` $1 ${addressOf(beta)}`);
      const { socketDirectory, port } = server;
      const env = {
        ...server.host.env,
        PGHOST: socketDirectory,
        PGPORT: String(port),
        PGDATABASE: 'postgres',
      };
      const { code, stdout } = await run('/bin/sh', ['-c', `exec 2>&1; ${real}`], {
        cwd: server.host.directory,
        env,
      });
      expect(code, stdout).toBe(0);
      const lines = asOnThePage(stdout, trio);
      expectShown(lines.map(comparable), output.map(comparable));
    }

    for (const { directory } of [alpha.host, gamma.host]) {
      const ini = readFileSync(join(directory, 'etc', 'cmd_standby.ini'), 'utf8');
      expect(ini).toContain(`master_public_ip: ${beta.host.address}\n`);
    }
    expect(await isPrimary(beta)).toBe(true);
    await insertRows(beta, 100);
    const segment = await beta.switchWal();
    await gamma.received(segment);
    for (const standby of [alpha, gamma]) {
      await hasRows(standby, 200);
      expect(await isPrimary(standby)).toBe(false);
    }
  });
});

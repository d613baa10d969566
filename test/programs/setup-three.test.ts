import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { missingHostRoots } from '../harness/host-networks.ts';
import {
  archive,
  cluster,
  type DebianHost,
  keyOf,
  newThree,
  pgdata,
  refusalsOn,
  textAt,
  type Three,
} from './setup-kit.ts';
import { expectExit } from './standby-kit.ts';

const missing = await missingHostRoots();
if (missing !== undefined) console.log(`skipped: ${missing}`);

const patience = { limitMs: 120_000 };

/** The keys of a host as --setup prints them for another one. */
const keysOf = (host: DebianHost): string => `'${keyOf(host, 'archive')}' '${keyOf(host, 'data')}'`;

async function must(host: DebianHost, line: string, code = 0): Promise<string> {
  const result = await host.type(line);
  expectExit(result, code);
  return result.stdout + result.stderr;
}

/** The command that a run shows for another host, below the line that says whose keys are not let in there. */
function shownFor(output: string, name: string): string {
  const [, command] =
    new RegExp(`- on ${name}, .* does not let our keys in yet.*\n +(.*)\n`).exec(output) ?? [];
  if (command === undefined) throw new Error(`no command for ${name}: ${output}`);
  return command;
}

async function hasRows(host: DebianHost, count: number): Promise<void> {
  const what = `${count} rows on ${host.host.name}`;
  await eventually(
    async () =>
      (await host.type('psql -XAtqc "SELECT count(*) FROM rows" postgres')).stdout.trim() === `${count}`,
    { ...patience, what },
  );
}

async function streamers(primary: DebianHost): Promise<string> {
  return primary.sql(
    "SELECT string_agg(usename, ' ' ORDER BY usename) FROM pg_stat_replication WHERE state = 'streaming'",
  );
}

/** Rows more, and the name of the segment that ends behind them. */
async function writeSegment(primary: DebianHost, rows: number): Promise<string> {
  await primary.sql(`INSERT INTO rows SELECT generate_series(1, ${rows})`);
  return primary.sql('SELECT pg_walfile_name(pg_switch_wal())');
}

async function arrives(host: DebianHost, segment: string): Promise<void> {
  const what = `${segment} in the archive of ${host.host.name}`;
  await eventually(() => textAt(host, `${archive}/${segment}`) !== '', { ...patience, what });
}

/** The server dies, and cmd_archiver of the host reaches nobody any more. */
async function crash(host: DebianHost): Promise<void> {
  await must(host, 'mv /etc/pitrtools/ssh /etc/pitrtools/ssh.away');
  await must(host, `kill -9 $(head -n 1 ${pgdata}/postmaster.pid)`);
  await eventually(async () => (await host.type('psql -XAtqc "SELECT 1" postgres')).code !== 0);
}

const isBack = (host: DebianHost): Promise<string> =>
  must(host, 'mv /etc/pitrtools/ssh.away /etc/pitrtools/ssh');

describe.skipIf(missing !== undefined)('three hosts with the keys that --setup makes', () => {
  let three: Three;
  beforeAll(async () => {
    three = await newThree();
  }, 120_000);
  afterAll(() => three.world.close());

  test(
    'become a primary and two standbys, which let each other in as well',
    { timeout: 600_000 },
    async () => {
      const { alpha, beta, gamma } = three;
      await must(alpha, 'cmd_archiver --setup --standby beta --standby gamma --apply', 8);
      for (const host of [beta, gamma]) {
        await must(host, `cmd_standby --setup --primary alpha --authorize ${keysOf(alpha)}`, 8);
        await must(host, `pg_ctlcluster ${cluster.replace('/', ' ')} stop`);
      }
      await must(alpha, `cmd_archiver --setup --authorize ${keysOf(beta)} ${keysOf(gamma)}`, 8);
      await must(alpha, `pg_ctlcluster ${cluster.replace('/', ' ')} restart`);

      // Each shows the command for the other one.
      const toGamma = shownFor(await must(beta, 'cmd_standby --setup --primary alpha --apply', 8), 'gamma');
      expect(toGamma).toBe(`cmd_standby --setup --primary alpha --authorize ${keysOf(beta)}`);
      await must(gamma, toGamma, 8);
      const toBeta = shownFor(await must(gamma, 'cmd_standby --setup --primary alpha --apply', 8), 'beta');
      await must(beta, toBeta, 8);
      expect(textAt(beta, '/etc/pitrtools/cmd_archiver.ini')).toContain('slaves: alpha, gamma\n');
      for (const host of [beta, gamma]) {
        await must(host, 'cmd_standby -B');
        await must(host, 'cmd_standby -S');
      }
      // On a busy machine each program takes its time to start. A line of one's own is no difference.
      for (const host of [alpha, beta, gamma])
        await must(
          host,
          "sed -i 's/^pgdata: .*/&\\nfailover_probe_timeout: 120/' /etc/pitrtools/cmd_standby.ini",
        );
      await alpha.sql('CREATE TABLE rows (n int)');
      expectExit(await beta.type('cmd_standby --setup --apply'), 0);
      expectExit(await gamma.type('cmd_standby --setup --apply'), 0);
      expectExit(await alpha.type('cmd_archiver --setup'), 0);
      await eventually(async () => (await streamers(alpha)) === 'pitrtools_beta pitrtools_gamma', patience);
    },
  );

  test(
    'change roles by --switchover, whose dry run names a key that lacks --roles',
    { timeout: 600_000 },
    async () => {
      const { alpha, beta, gamma } = three;
      const file = '/var/lib/postgresql/.ssh/authorized_keys';
      await must(gamma, `sed -i.full '/pitrtools-archive@beta/s/ --roles//' ${file}`);
      const lacking = await beta.type('cmd_standby --switchover --dry-run');
      expectExit(lacking, 4);
      expect(lacking.stderr).toMatch(
        /gamma cannot follow this host: the key of this host is restricted there/,
      );
      expect(lacking.stderr).toMatch(
        /On gamma: put this before it in authorized_keys: restrict,command=".*--serve --roles"/,
      );
      await must(gamma, `mv ${file}.full ${file}`);
      await must(beta, 'cmd_standby --switchover --dry-run');
      await must(beta, 'cmd_standby --switchover');
      const segment = await writeSegment(beta, 100);
      for (const standby of [alpha, gamma]) {
        await hasRows(standby, 100);
        await arrives(standby, segment);
      }
      expect(await streamers(beta)).toBe('pitrtools_alpha pitrtools_gamma');
      expectExit(await beta.type('cmd_archiver --check'), 0);
    },
  );

  test(
    'a failover fetches WAL that only the other standby has, and that one follows',
    { timeout: 600_000 },
    async () => {
      const { alpha, beta, gamma } = three;
      // Neither streams: a part of a segment cannot be fetched.
      for (const standby of [alpha, gamma]) await must(standby, 'cmd_standby -A stop');
      await alpha.stopSshd();
      const only = await writeSegment(beta, 100);
      await arrives(gamma, only);
      await crash(beta);
      await alpha.startSshd();
      for (const standby of [alpha, gamma]) await must(standby, 'cmd_standby -A start');
      await hasRows(gamma, 200);
      expect(await must(alpha, 'cmd_standby -F999 --dry-run')).toMatch(
        new RegExp(`${only}.* gamma|gamma.* ${only}`),
      );
      expect(textAt(alpha, `${archive}/${only}`)).toBe('');
      await must(alpha, 'cmd_standby -F999');
      expect(textAt(alpha, `${archive}/${only}`)).not.toBe('');
      await hasRows(alpha, 200);
      expect(textAt(gamma, `${archive}/.pitrtools`)).toMatch(/^left: /m);

      await must(gamma, 'cmd_standby --follow alpha --dry-run');
      await must(gamma, 'cmd_standby --follow alpha');
      await isBack(beta);
      const refused = await must(beta, 'cmd_archiver --may-start', 4);
      expect(refused).toMatch(/must not start here.*(alpha|gamma) says/);
      await must(beta, 'cmd_standby --rejoin alpha --dry-run');
      await must(beta, 'cmd_standby --rejoin alpha');
      const segment = await writeSegment(alpha, 100);
      for (const standby of [beta, gamma]) {
        await hasRows(standby, 300);
        await arrives(standby, segment);
      }
      expect(await streamers(alpha)).toBe('pitrtools_beta pitrtools_gamma');
    },
  );

  test(
    'and the next primary brings a standby what it lacks, once that can be reached',
    { timeout: 600_000 },
    async () => {
      const { alpha, beta, gamma } = three;
      await must(gamma, 'cmd_standby -A stop');
      await gamma.stopSshd();
      const lacking = await writeSegment(alpha, 100);
      await arrives(beta, lacking);
      await hasRows(beta, 400);
      await crash(alpha);
      expect(await must(beta, 'cmd_standby -F999')).toMatch(/gamma did not answer/);
      await beta.sql('INSERT INTO rows VALUES (0)');
      await gamma.startSshd();
      await must(gamma, 'cmd_standby -A start');
      await must(gamma, 'cmd_standby --follow beta');
      await hasRows(gamma, 401);
      const segment = await writeSegment(beta, 99);
      for (const name of [lacking, segment]) await arrives(gamma, name);
      await isBack(alpha);
      await must(alpha, 'cmd_standby --rejoin beta');
      await hasRows(alpha, 500);
      expect(await streamers(beta)).toBe('pitrtools_alpha pitrtools_gamma');
      for (const host of [alpha, beta, gamma]) expect(refusalsOn(host)).toEqual([]);
    },
  );
});

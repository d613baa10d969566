import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { missingHostRoots } from '../harness/host-networks.ts';
import type { Finished } from '../harness/processes.ts';
import { endsOfTwelve, ofMajor, typedLines, withKeys } from './how-to-lines.ts';
import { archive, keyOf, major, newPair, type Pair, pgdata, refusalsOn, textAt, user } from './setup-kit.ts';
import { expectExit } from './standby-kit.ts';

const missing = await missingHostRoots();
if (missing !== undefined) console.log(`skipped: ${missing}`);

/** Another user than Debian's owns the cluster where there is no such user. */
function asUser(line: string): string {
  return line.replaceAll(/(as |~)postgres\b/g, `$1${user}`);
}

// A dozen of our programs in each test: on a busy machine they take minutes.
describe.skipIf(missing !== undefined)("two new hosts with Debian's layout", { timeout: 600_000 }, () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await newPair();
  });
  afterAll(() => pair.world.close());

  test('become a primary and a streaming standby by the twelve commands of the how-to, typed as they are there', async () => {
    const { alpha, beta } = pair;
    const typed = typedLines('In twelve commands');
    expect(typed.length).toBeLessThanOrEqual(12);
    // The package itself is installed in test/debian.
    const lines = typed.filter(({ line }) => !line.startsWith('apt-get '));
    const asHere = (line: string) =>
      withKeys(ofMajor(major, line), (name, side) => keyOf(name === 'alpha' ? alpha : beta, side));
    const outputs: Finished[] = [];
    for (const { host, line, shown } of lines) {
      const { type } = host === 'alpha' ? alpha : beta;
      const result = await type(asHere(line));
      outputs.push(result);
      expectExit(result, endsOfTwelve[outputs.length - 1] ?? 0);
      for (const one of shown) expect(result.stdout).toContain(asUser(asHere(one)));
    }
    expect(outputs).toHaveLength(endsOfTwelve.length);

    await alpha.sql('CREATE TABLE rows AS SELECT generate_series(1, 100) AS n');
    await eventually(async () => (await beta.sql('SELECT count(*) FROM rows')) === '100');
    expect(await alpha.sql('SELECT usename, state FROM pg_stat_replication')).toBe(
      'pitrtools_beta|streaming',
    );

    // The archive brings what cannot be streamed any more.
    expectExit(await beta.type('cmd_standby -A stop'), 0);
    await alpha.sql('INSERT INTO rows SELECT generate_series(101, 200)');
    const segment = await alpha.sql('SELECT pg_walfile_name(pg_switch_wal())');
    await eventually(() => textAt(beta, `${archive}/${segment}`) !== '');
    await alpha.sql('SELECT pg_switch_wal()');
    await alpha.sql('CHECKPOINT');
    await alpha.sql('CHECKPOINT');
    expectExit(await beta.type('cmd_standby -A start'), 0);
    await eventually(async () => (await beta.sql('SELECT count(*) FROM rows')) === '200');

    // Each key is for one program of ours alone.
    for (const host of [alpha, beta]) {
      const authorized = textAt(host, '/var/lib/postgresql/.ssh/authorized_keys').trimEnd().split('\n');
      const programs = authorized.map((each) =>
        /^restrict,command="\/\S*\/(cmd_\w+) -C (\S+) --serve --roles" ssh-ed25519 /.exec(each),
      );
      expect(programs.map((match) => match?.slice(1))).toEqual([
        ['cmd_standby', '/etc/pitrtools/cmd_standby.ini'],
        ['cmd_archiver', '/etc/pitrtools/cmd_archiver.ini'],
      ]);
      expect(refusalsOn(host)).toEqual([]);
    }

    // Again: nothing is left to do, and nothing changes.
    const before = textAt(alpha, '/etc/pitrtools/cmd_archiver.ini');
    const again = await alpha.type('cmd_archiver --setup --apply');
    expectExit(again, 0);
    expect(again.stdout).not.toMatch(/^\d+\. /m);
    expect(textAt(alpha, '/etc/pitrtools/cmd_archiver.ini')).toBe(before);
  });

  test('then change roles, because both hosts have both INI files', async () => {
    const { alpha, beta } = pair;
    expectExit(await beta.type('cmd_standby --switchover --dry-run'), 0);
    expectExit(await beta.type('cmd_standby --switchover'), 0);
    expect(await beta.sql('SELECT pg_is_in_recovery()')).toBe('f');
    await beta.sql('INSERT INTO rows VALUES (0)');
    await eventually(async () => (await alpha.sql('SELECT count(*) FROM rows')) === '201');
    expect(await beta.sql('SELECT usename, state FROM pg_stat_replication')).toBe(
      'pitrtools_alpha|streaming',
    );
    // WAL goes the other way now.
    const segment = await beta.sql('SELECT pg_walfile_name(pg_switch_wal())');
    await eventually(() => textAt(alpha, `${archive}/${segment}`) !== '');
    // It knows the wrong host.
    const wrong = await beta.type('cmd_standby --setup --primary alpha');
    expectExit(wrong, 4);
    expect(wrong.stderr).toContain('the server here is a primary that archives by cmd_archiver');
    const wrongToo = await alpha.type('cmd_archiver --setup');
    expectExit(wrongToo, 4);
    expect(wrongToo.stderr).toContain('the server here is a standby');
  });

  test('and with the same keys a crash is followed by -F999, and the former primary rejoins', async () => {
    const { alpha, beta } = pair;
    expectExit(await beta.type(`kill -9 $(head -n 1 ${pgdata}/postmaster.pid)`), 0);
    await eventually(async () => (await beta.type('psql -XAtqc "SELECT 1" postgres')).code !== 0);
    expectExit(await alpha.type('cmd_standby -F999'), 0);
    await alpha.sql('INSERT INTO rows VALUES (-1)');
    expectExit(await beta.type('cmd_standby --rejoin'), 0);
    await eventually(async () => (await beta.sql('SELECT count(*) FROM rows')) === '202');
    expect(await alpha.sql('SELECT usename, state FROM pg_stat_replication')).toBe(
      'pitrtools_beta|streaming',
    );
    expectExit(await beta.type('cmd_standby --setup'), 0);
    expect([...refusalsOn(alpha), ...refusalsOn(beta)]).toEqual([]);
  });
});

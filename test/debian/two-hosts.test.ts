import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import type { Finished } from '../harness/processes.ts';
import { endsOfTwelve, typedLines, withKeys } from '../programs/how-to-lines.ts';
import { bootPair, type DebianHost, type DebianPair, givenPlaces } from './debian-host.ts';

const places = givenPlaces();
if (places === undefined)
  console.log('skipped: only scripts/test --debian, as root, has hosts with a Debian');

const archive = '/var/lib/postgresql/archive';
const unit = 'pitrtools-shipper@15-main';

function expectExit(result: Finished, code: number): void {
  expect(result.code, `${result.stdout}${result.stderr}`).toBe(code);
}

async function output(typed: Promise<Finished>): Promise<string> {
  const result = await typed;
  expectExit(result, 0);
  return result.stdout;
}

/** The last line for authorized_keys that a host has printed, as a person would copy it. */
function printedKey(outputs: readonly Finished[], host: string, side: string): string {
  const found = outputs.map(
    ({ stdout }) => new RegExp(`ssh-ed25519 \\S+ pitrtools-${side}@${host}`).exec(stdout)?.[0],
  );
  const last = found.findLast((one) => one !== undefined);
  if (last === undefined) throw new Error(`the key of ${host} (${side}) was not printed`);
  return last;
}

/** The processes of a host whose command line has this word, with their parents; a minimal Debian has no ps. */
async function shippers({ asRoot }: DebianHost): Promise<readonly string[]> {
  const list = `for one in /proc/[0-9]*; do
    tr '\\0' ' ' <$one/cmdline 2>/dev/null | grep -q -- 'cmd-archiver[.]js .*--ship' && echo \${one#/proc/}
  done; true`;
  return (await output(asRoot(list))).split('\n').filter((line) => line !== '');
}

describe.skipIf(places === undefined)('two hosts with Debian, where nothing of ours is installed', () => {
  let pair: DebianPair;
  beforeAll(async () => {
    if (places !== undefined) pair = await bootPair(places);
  });
  afterAll(() => pair.close());

  test('have neither a Node.js nor a registry, nor a way into each other', async () => {
    for (const host of [pair.alpha, pair.beta]) {
      expectExit(await host.asRoot('command -v node npm cmd_archiver cmd_standby sudo'), 127);
      expect(await output(host.asRoot('ls -A /etc/pitrtools /root 2>/dev/null; true'))).not.toContain('.ini');
      // Its only network is the one between the two.
      expect(await output(host.asRoot("grep -c -v '^lo\\|^wire' /proc/net/route; true"))).toBe('1\n');
    }
    expect((await pair.beta.asPostgres('ssh -o BatchMode=yes alpha true')).code).not.toBe(0);
    expect(await pair.alpha.sql('SELECT system_identifier FROM pg_control_system()')).not.toBe(
      await pair.beta.sql('SELECT system_identifier FROM pg_control_system()'),
    );
  });

  test('become a primary and a streaming standby by the twelve commands of the how-to, as they are there', async () => {
    const typed = typedLines('In twelve commands');
    expect(typed.length).toBeLessThanOrEqual(12);
    const ends = [0, 0, ...endsOfTwelve];
    const outputs: Finished[] = [];
    for (const { host, isRoot, line, shown } of typed) {
      const asHere = (one: string) => withKeys(one, (name, side) => printedKey(outputs, name, side));
      const { asRoot, asPostgres } = pair[host];
      const result = await (isRoot ? asRoot(line) : asPostgres(asHere(line)));
      outputs.push(result);
      expectExit(result, ends[outputs.length - 1] ?? 0);
      for (const one of shown) expect(result.stdout).toContain(asHere(one));
    }
    expect(outputs).toHaveLength(ends.length);

    const { alpha, beta } = pair;
    await alpha.sql('CREATE TABLE rows AS SELECT generate_series(1, 100) AS n');
    await eventually(async () => (await beta.sql('SELECT count(*) FROM rows')) === '100');
    expect(await alpha.sql('SELECT usename, state FROM pg_stat_replication')).toBe(
      'pitrtools_beta|streaming',
    );
  });

  test('have units without an error, which can be enabled', async () => {
    const { alpha, beta } = pair;
    for (const { asRoot } of [alpha, beta]) {
      const units = (await output(asRoot('ls /usr/lib/systemd/system/ | grep ^pitrtools-')))
        .trim()
        .split('\n');
      expect(units).toContain('pitrtools-shipper@.service');
      // The instance of a unit is the cluster; of the one for metrics, the program.
      const instances = units.map((one) =>
        one.replace('@.', one.includes('metrics') ? '@cmd_standby.' : '@15-main.'),
      );
      const verified = await asRoot(
        `systemd-analyze verify --man=no --recursive-errors=no ${instances.join(' ')}`,
      );
      expectExit(verified, 0);
      expect(verified.stderr).not.toContain('pitrtools');
    }
    // The shipper that archive_command has started is replaced by the one of the unit.
    for (const pid of await shippers(alpha)) await output(alpha.asRoot(`kill ${pid}`));
    await eventually(async () => (await shippers(alpha)).length === 0);
    await output(alpha.asRoot(`systemctl enable --now ${unit}`));
    expect(await output(alpha.asRoot('ls /etc/systemd/system/postgresql@15-main.service.wants'))).toBe(
      `${unit}.service\n`,
    );
    await eventually(async () => (await shippers(alpha)).length > 0);
    const [shipper, ...others] = await shippers(alpha);
    expect(others).toEqual([]);
    expect(await output(alpha.asRoot(`stat -c %U /proc/${shipper ?? ''}`))).toBe('postgres\n');

    await output(beta.asRoot('cmd_standby --setup --systemd'));
    expect(await output(beta.asRoot('ls /etc/systemd/system/timers.target.wants'))).toMatch(
      /^pitrtools-cleanup\.timer$[^]*^pitrtools-ping\.timer$/m,
    );
    for (const name of ['pitrtools-cleanup', 'pitrtools-ping'])
      await output(beta.asRoot(`systemctl start ${name}.service`));

    const segment = await alpha.sql('SELECT pg_walfile_name(pg_switch_wal())');
    await eventually(async () => (await beta.asRoot(`test -s ${archive}/${segment}`)).code === 0);
    expect(await shippers(alpha)).toEqual([shipper]);
  });

  test('stream with the archive to fall back on', async () => {
    const { alpha, beta } = pair;
    await output(beta.asPostgres('cmd_standby -A stop'));
    await alpha.sql('INSERT INTO rows SELECT generate_series(101, 200)');
    const segment = await alpha.sql('SELECT pg_walfile_name(pg_switch_wal())');
    await eventually(async () => (await beta.asRoot(`test -s ${archive}/${segment}`)).code === 0);
    await output(beta.asPostgres('cmd_standby -A start'));
    await eventually(async () => (await beta.sql('SELECT count(*) FROM rows')) === '200');
    // It was taken from there.
    expect(await output(beta.asRoot('cat /var/log/postgresql/*.log'))).toContain(
      `restored log file "${segment}" from archive`,
    );
  });
});

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import type { Finished } from '../harness/processes.ts';
import { endsOfTwelve, ofMajor, typedLines, withKeys } from '../programs/how-to-lines.ts';
import { bootPair, type DebianHost, type DebianPair, givenPlaces, majorIn } from './debian-host.ts';

const places = givenPlaces();
if (places === undefined)
  console.log('skipped: only scripts/test --debian, as root, has hosts with a Debian');

const major = places === undefined ? 0 : majorIn(places);
const home = '/var/lib/postgresql';
const archive = `${home}/archive`;
const shipper = `pitrtools-shipper@${major}-main`;
/** Every unit of the package that starts a program. The instance is the cluster, and of the one for metrics, the program. */
const services = {
  alpha: [shipper, 'pitrtools-metrics@cmd_archiver'],
  beta: ['pitrtools-cleanup', 'pitrtools-ping', 'pitrtools-metrics@cmd_standby', 'pitrtools-drill'],
} as const;

/** The page is about Debian 12; a later one has a Node.js that is new enough. */
function ofThisRelease(line: string): string {
  const named = ofMajor(major, line);
  return places?.release === 12 ? named : named.replace('./pitrtools-node_*_amd64.deb ', '');
}

const program = { alpha: 'cmd_archiver', beta: 'cmd_standby' } as const;

function linesOf(text: string): readonly string[] {
  return text.split('\n').filter((line) => line !== '');
}

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

/** The numbers of the shippers' processes on a host; a minimal Debian has no ps. */
async function shippersOn({ asRoot }: DebianHost): Promise<readonly string[]> {
  const list = `for one in /proc/[0-9]*; do
    tr '\\0' ' ' <$one/cmdline 2>/dev/null | grep -q -- 'cmd-archiver[.]js .*--ship' && echo \${one#/proc/}
  done; true`;
  return linesOf(await output(asRoot(list)));
}

/** All links by which systemd starts a unit of ours. */
async function enabledOn({ asRoot }: DebianHost): Promise<readonly string[]> {
  return linesOf(await output(asRoot("cd /etc/systemd/system && find . -name 'pitrtools*' | sort")));
}

/** The files of a host that no change of the packages may touch, each with its digest. */
async function filesOn({ asRoot }: DebianHost, ...places: readonly string[]): Promise<readonly string[]> {
  return linesOf(await output(asRoot(`find ${places.join(' ')} -type f | sort | xargs -r sha256sum`)));
}

/** Without a record in it, a segment does not end. */
async function segmentAfterSwitch({ alpha }: DebianPair): Promise<string> {
  await alpha.sql("SELECT pg_create_restore_point('a record')");
  return alpha.sql('SELECT pg_walfile_name(pg_switch_wal())');
}

function arrives({ beta }: DebianPair, segment: string): Promise<boolean> {
  const isThere = async () => (await beta.asRoot(`test -s ${archive}/${segment}`)).code === 0;
  return eventually(isThere, { limitMs: 120_000, what: `${segment} in the archive` });
}

describe.skipIf(places === undefined)('two hosts with Debian, where nothing of ours is installed', () => {
  let pair: DebianPair;
  beforeAll(async () => {
    if (places !== undefined) pair = await bootPair(places);
  });
  afterAll(() => pair.close());

  test('have neither a program of ours nor a registry, nor a way into each other', async () => {
    for (const host of [pair.alpha, pair.beta]) {
      const programs = [
        'npm',
        'cmd_archiver',
        'cmd_standby',
        'sudo',
        ...(places?.release === 12 ? ['node'] : []),
      ];
      for (const program of programs) expect((await host.asRoot(`command -v ${program}`)).stdout).toBe('');
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
      const asHere = (one: string) =>
        withKeys(ofThisRelease(one), (name, side) => printedKey(outputs, name, side));
      const { asRoot, asPostgres } = pair[host];
      const result = await (isRoot ? asRoot : asPostgres)(asHere(line));
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

  test('stream with the archive to fall back on', async () => {
    const { alpha, beta } = pair;
    await output(beta.asPostgres('cmd_standby -A stop'));
    await alpha.sql('INSERT INTO rows SELECT generate_series(101, 200)');
    const segment = await segmentAfterSwitch(pair);
    await arrives(pair, segment);
    await output(beta.asPostgres('cmd_standby -A start'));
    await eventually(async () => (await beta.sql('SELECT count(*) FROM rows')) === '200');
    // It was taken from there.
    expect(await output(beta.asRoot('cat /var/log/postgresql/*.log'))).toContain(
      `restored log file "${segment}" from archive`,
    );
  });

  test('have manual pages of both programs and both INI files', async () => {
    const version = await output(pair.alpha.asRoot("dpkg-query -W -f '${Version}' pitrtools"));
    for (const program of ['cmd_archiver', 'cmd_standby']) {
      expect(await output(pair.alpha.asRoot(`${program} --version`))).toBe(`${version.replace('~', '-')}\n`);
      for (const page of [`man1/${program}.1`, `man5/${program}.ini.5`])
        expect(await output(pair.alpha.asRoot(`zcat /usr/share/man/${page}.gz`))).toContain('.TH ');
    }
  });

  test('have units without an error, of which each can be enabled and does its work', async () => {
    const { alpha, beta } = pair;
    // The shipper that archive_command has started is replaced by the one of the unit.
    await output(alpha.asRoot(`systemctl enable --now ${shipper} ${services.alpha[1]}.timer`));
    const [ofUnit = ''] = linesOf(await output(alpha.asRoot(`cat /run/units/${shipper}.service`)));
    await eventually(
      async () => {
        const running = await shippersOn(alpha);
        for (const pid of running.filter((one) => one !== ofUnit)) await alpha.asRoot(`kill ${pid}`);
        return running.join() === ofUnit;
      },
      { limitMs: 120_000, what: "the unit's shipper alone" },
    );
    expect(await output(alpha.asRoot(`stat -c %U /proc/${ofUnit}`))).toBe('postgres\n');
    await output(beta.asRoot('cmd_standby --setup --systemd'));
    await output(beta.asRoot(`systemctl enable --now ${services.beta[2]}.timer`));

    const drills = '/var/lib/postgresql/drill';
    await output(
      beta.asPostgres(`mkdir ${drills} && echo 'drill_dir: ${drills}' >> /etc/pitrtools/cmd_standby.ini`),
    );
    for (const name of ['alpha', 'beta'] as const) {
      const { asRoot } = pair[name];
      const installed = await output(asRoot('ls /usr/lib/systemd/system | grep ^pitrtools-'));
      const instances = linesOf(installed).map((one) =>
        one.replace('@.', one.includes('metrics') ? `@${program[name]}.` : `@${major}-main.`),
      );
      const verified = await asRoot(
        `systemd-analyze verify --man=no --recursive-errors=no ${instances.join(' ')}`,
      );
      expectExit(verified, 0);
      expect(verified.stderr).not.toContain('pitrtools');
      for (const unit of services[name]) {
        expect(instances).toContain(`${unit}.service`);
        if (unit !== shipper) await output(asRoot(`systemctl start ${unit}.service`));
      }
      const metrics = await output(asRoot(`cat /var/lib/pitrtools-metrics/${program[name]}.prom`));
      expect(metrics).toMatch(/^pitrtools_\w+/m);
    }
    const all = [...services.alpha, ...services.beta].map((one) => one.replace(/@.*/, '@'));
    const installed = await output(
      alpha.asRoot('ls /usr/lib/systemd/system | grep "^pitrtools-.*[.]service"'),
    );
    expect(linesOf(installed)).toEqual([...new Set(all)].map((one) => `${one}.service`).sort());

    await arrives(pair, await segmentAfterSwitch(pair));
    expect(await shippersOn(alpha)).toEqual([ofUnit]);
  });

  test('lose nothing but the programs when the package is removed, and start nothing when it is installed again', async () => {
    const { alpha, beta } = pair;
    const own = await filesOn(alpha, '/etc/pitrtools');
    expect(await enabledOn(alpha)).toHaveLength(2);
    const removed = await output(alpha.asRoot('apt-get remove -y pitrtools'));
    expect(removed).toContain('keeps all WAL until another archive_command is set');
    expect(await shippersOn(alpha)).toEqual([]);
    expect(await output(alpha.asRoot('ls /run/units'))).toBe('');
    expect(await enabledOn(alpha)).toEqual([]);
    expect(await filesOn(alpha, '/etc/pitrtools')).toEqual(own);
    const segment = await segmentAfterSwitch(pair);
    // PostgreSQL keeps what it cannot archive; a command that is not there counts as no failure.
    const isTried = async () =>
      (await alpha.asRoot("grep -q 'command failed with exit code 127' /var/log/postgresql/*.log")).code ===
      0;
    await eventually(isTried, { limitMs: 120_000, what: 'archive_command to be tried' });
    const ready = `/var/lib/postgresql/${major}/main/pg_wal/archive_status/${segment}.ready`;
    await output(alpha.asRoot(`test -e ${ready}`));

    await output(
      alpha.asRoot(ofThisRelease('apt-get install -y ./pitrtools-node_*_amd64.deb ./pitrtools_*_all.deb')),
    );
    expect(await enabledOn(alpha)).toEqual([]);
    expect(await output(alpha.asRoot('ls /run/units'))).toBe('');
    await arrives(pair, segment);
    await output(alpha.asPostgres('cmd_archiver --setup'));
    expect(await beta.sql('SELECT count(*) FROM rows')).toBe('200');
  });

  test('keep archive, queues and data of the server when the packages are purged', async () => {
    const { alpha, beta } = pair;
    // Nothing writes to these files meanwhile.
    await output(alpha.asRoot(`systemctl stop postgresql@${major}-main`));
    await eventually(async () => {
      const running = await shippersOn(alpha);
      for (const pid of running) await alpha.asRoot(`kill ${pid}`);
      return running.length === 0;
    });
    await output(beta.asPostgres('cmd_standby -A stop'));
    const kept = [home, `/etc/postgresql/${major}`];
    const before = await filesOn(beta, ...kept);
    expect(before.join('\n')).toContain(`${archive}/0`);
    expect(await enabledOn(beta)).toHaveLength(3);
    const purged = await output(beta.asRoot("apt-get purge -y 'pitrtools*'"));
    expect(purged).toContain('stops as soon as it looks into the archive');
    for (const gone of [
      '/etc/pitrtools',
      '/usr/lib/pitrtools',
      '/usr/lib/pitrtools-node',
      '/var/lib/pitrtools-metrics',
    ])
      expectExit(await beta.asRoot(`test -e ${gone}`), 1);
    expect(await enabledOn(beta)).toEqual([]);
    expect(await output(beta.asRoot('ls /run/units'))).toBe('');
    expect(await filesOn(beta, ...kept)).toEqual(before);
    // Its restore_command is gone.
    expect((await beta.asRoot(`pg_ctlcluster ${major} main start`)).code).not.toBe(0);
    const log = await output(beta.asRoot('cat /var/log/postgresql/*.log'));
    expect(log).toMatch(/FATAL: +could not restore file "\w+(?:\.history)?" from archive: command not found/);
  });
});

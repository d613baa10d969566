import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { type Host, writeScript } from '../harness/host.ts';
import { type IniKeys, writeIni } from '../harness/ini.ts';
import { newestMajors } from '../harness/postgres-programs.ts';
import { type Finished, run } from '../harness/processes.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { archivedBytes, archivedFiles, type FakeCluster, fakeCluster } from './archiver-cluster.ts';
import { archiveSegments, makeTrio as makeShippingTrio, untilCaughtUp } from './catch-up-kit.ts';
import { addReadySegments, shipperPids, startShipper, untilMarked } from './shipper-kit.ts';
import { forkOf, hasRows, makeTrio, marksAt, startStandbys } from './siblings-kit.ts';
import { countRows, expectExit } from './standby-kit.ts';

/** From now on the world's key can make our requests on this host, and nothing else. */
function restrict({ host, iniFile }: Pick<Standby, 'host' | 'iniFile'>, ...more: string[]): void {
  const words = [checkout('bin', 'cmd_standby'), '-C', iniFile, '--serve', ...more];
  host.sshd.authorize(`restrict,command="${words.join(' ')}"`);
}

/** The archive of a standby without a server, for a key that is restricted. */
function restrictedArchive(host: Host, keys: IniKeys = {}): void {
  mkdirSync(host.archiveDir, { mode: 0o700, recursive: true });
  const iniFile = join(host.directory, 'cmd_standby.ini');
  writeIni(iniFile, {
    keys: {
      master_public_ip: '127.0.0.1',
      pgdata: join(host.directory, 'pgdata'),
      archivedir: host.archiveDir,
      rsync: '/usr/bin/rsync',
      debug: 'on',
      ...keys,
    },
  });
  restrict({ host, iniFile });
}

function refusals(host: Host): string[] {
  const file = join(host.archiveDir, '.cmd_standby.refused');
  return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : [];
}

async function restrictedCluster(world: World): Promise<{ cluster: FakeCluster; standby: Host }> {
  const cluster = await fakeCluster(world, { slaves: ['s1'] });
  const [standby] = cluster.standbys;
  if (standby === undefined) throw new Error('no standby');
  restrictedArchive(standby);
  expectExit(await cluster.run(['-I']), 0);
  return { cluster, standby };
}

const tickets = `/tmp/pitrtools-${process.getuid?.() ?? 0}/serve`;

/** The ticket for the connection of this cluster, once it has one. */
function ticketOf(standby: Host): string | undefined {
  const names = existsSync(tickets) ? readdirSync(tickets) : [];
  return names
    .map((name) => join(tickets, name))
    .find((path) => existsSync(path) && readFileSync(path, 'utf8').includes(`\n${standby.archiveDir}\n`));
}

describe('with a restricted key', () => {
  test('archive_command, the shipper and the queue deliver, and only the first transfer of a connection starts Node', async ({
    world,
  }) => {
    const { cluster, standby } = await restrictedCluster(world);
    expect(readFileSync(join(standby.archiveDir, '.pitrtools'), 'utf8')).toContain('standby: s1\n');
    const first = cluster.segment(1);
    const bytes = cluster.addSegment(first);
    expect(await cluster.archive(first)).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(archivedBytes(standby, first).equals(bytes)).toBe(true);
    await eventually(() => ticketOf(standby) === undefined, { what: 'no ticket' });
    expect(await cluster.archive(first)).toMatchObject({ code: 0, stderr: '' });

    const [nodes, transfers] = ['nodes', 'transfers'].map((name) => join(standby.directory, name));
    const node = writeScript(
      standby,
      'node',
      `echo "$SSH_ORIGINAL_COMMAND" >>'${nodes ?? ''}'; exec '${process.execPath}' "$@"`,
    );
    const variables = `PITRTOOLS_TEST_WORLD=${world.directory} PITRTOOLS_NODE=${node}`;
    await standby.sshd.reconfigure([`SetEnv ${variables}`]);
    const rsync = writeScript(standby, 'rsync', `echo run >>'${transfers ?? ''}'; exec /usr/bin/rsync "$@"`);
    restrictedArchive(standby, { rsync });
    const linesOf = (file = '') => (existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []);
    const shipper = await startShipper(cluster);
    const sent = new Map<string, Buffer>();
    for (let number = 2; number < 12; number++) {
      const [added] = addReadySegments(cluster, number, 1);
      if (added === undefined) throw new Error('no segment');
      sent.set(...added);
      await eventually(() => archivedFiles(standby).includes(added[0]), { what: added[0] });
    }
    await untilMarked(cluster, sent.keys());
    expect(linesOf(transfers).filter((line) => line === 'run').length).toBeGreaterThanOrEqual(10);
    const starts = linesOf(nodes).filter((line) => line.startsWith('rsync '));
    expect(starts.length).toBeGreaterThan(0);
    expect(starts.length).toBeLessThan(6);

    await standby.sshd.kill();
    const queued = addReadySegments(cluster, 12, 5);
    await untilMarked(cluster, queued.keys());
    expect(cluster.queue('s1').length).toBeGreaterThan(0);
    await standby.sshd.start();
    // On a busy machine the shipper is perhaps still sending.
    await eventually(async () => (await cluster.run(['--flush'])).code === 0, {
      limitMs: 60_000,
      what: 'the queue flushed',
    });
    for (const [name, content] of [...sent, ...queued])
      expect(archivedBytes(standby, name).equals(content)).toBe(true);
    shipper.signal('SIGTERM');
    await shipper.finished;
    await eventually(() => ticketOf(standby) === undefined, { what: 'no ticket' });
    expect(refusals(standby)).toEqual([]);

    const conflict = cluster.segment(2);
    cluster.addSegment(conflict, { seed: 99 });
    cluster.forgetTrouble('s1');
    expect((await cluster.archive(conflict)).stderr).toMatch(/holds a different file named/);
  });

  test('that stands before the INI file of another standby nothing is delivered', async ({ world }) => {
    const { cluster, standby } = await restrictedCluster(world);
    const other = join(standby.directory, 'other');
    mkdirSync(other);
    cluster.writeIni({}, { s1: { r_archivedir: other } });
    cluster.addSegment(cluster.segment(1));
    const failed = await cluster.archive(cluster.segment(1));
    expect(failed.stderr).toMatch(/this key is for the archive .*archive .*not for .*other/);
    expect(archivedFiles(standby)).toEqual([]);
    expect(readdirSync(other)).toEqual([]);
    expect(refusals(standby).join('\n')).toMatch(/this key is for the archive/);
  });

  test('that was stolen nothing else can be done, and each attempt is logged', async ({ world }) => {
    const { cluster, standby } = await restrictedCluster(world);
    cluster.addSegment(cluster.segment(1));
    expect(await cluster.archive(cluster.segment(1))).toMatchObject({ code: 0 });
    const before = readdirSync(standby.archiveDir).sort();
    const trace = join(standby.directory, 'trace');
    const config = cluster.host.ssh.split(' ')[2] ?? '';
    const ssh = (args: readonly string[], input?: string): Promise<Finished> =>
      run('/usr/bin/ssh', ['-F', config, '-o', 'BatchMode=yes', ...args], {
        env: cluster.host.env,
        ...(input === undefined ? {} : { stdin: input }),
      });
    const inbox = '.incoming/host.0123456789ab/0123456789abcdef/';
    mkdirSync(join(standby.archiveDir, inbox), { recursive: true });
    const archive = encodeURIComponent(standby.archiveDir);
    const opening = 'LC_ALL=C; export LC_ALL; unset PGHOST\n';
    const commands: readonly (readonly [string, string?])[] = [
      [''],
      ['id'],
      ['cat /etc/passwd'],
      ['bash -i'],
      ['sh -c id'],
      ['sh', 'cat /etc/passwd\n'],
      ['sh', `${opening}id\n`],
      ['sh', `${opening}(\numask 077; id\n`],
      [
        'sh',
        `${opening}(\numask 077\n) </dev/null\nprintf '\\n@pitrtools ${'a'.repeat(24)} %s\\n' "$?"\nid\n`,
      ],
      ['sh;id'],
      ['sh\nid'],
      [`touch ${trace}`],
      [`sentinel ${archive};touch ${trace}`],
      [`sentinel ${archive}\ntouch ${trace}`],
      [`sentinel ${archive} "$(touch ${trace})"`],
      ['sentinel %2Fetc'],
      ['sentinel /etc'],
      [`has-file ${archive} ../../etc/passwd`],
      [`send-segments ${archive} archive ../../../../etc/passwd`],
      [`hello ${archive} 1 ../.. 0123456789abcdef store -`],
      ['stop-primary 1 thief 7000000000000000001 0123456789abcdef'],
      ['follow thief 5432 7000000000000000001 1'],
      ['calls', 'stop-primary 1 thief 7000000000000000001 0123456789abcdef\n'],
      ['status \u001b[2J\u202e'],
      ['rsync --server --sender -te.LsfxCIvu . /etc/passwd'],
      ['rsync --server -te.LsfxCIvu . /etc/'],
      [`rsync --server -te.LsfxCIvu . ${inbox}../../`],
      [`rsync --server -lte.LsfxCIvu . ${inbox}`],
      [`rsync --server -te.LsfxCIvu --delete . ${inbox}`],
      [`rsync --server -te.LsfxCIvu --log-file=${trace} . ${inbox}`],
      [`rsync --server -te.LsfxCIvu . '${inbox}'`],
      [`rsync --server -te.LsfxCIvu . .incoming/none/0123456789abcdef/`],
      ['rsync --server --daemon .'],
      ['scp -t /tmp'],
      ['/usr/lib/openssh/sftp-server'],
    ];
    const attempt = async ([command, input]: readonly [string, string?]): Promise<void> => {
      const tried = await ssh(['s1', ...(command === '' ? [] : [command])], input);
      const what = JSON.stringify([command, input, tried]);
      expect(tried.code === 0 && command !== 'calls', what).toBe(false);
      expect(tried.stdout, what).not.toMatch(/root:|uid=/);
      expect(tried.stderr, what).toMatch(/refused/);
      expect(`${tried.stderr}${tried.stdout}`.replaceAll(/[\r\n]/g, ''), what).not.toMatch(/[\p{Cc}\u202e]/u);
    };
    for (let from = 0; from < commands.length; from += 6)
      await Promise.all(commands.slice(from, from + 6).map(attempt));
    const logged = refusals(standby);
    expect(logged).toHaveLength(commands.length);
    for (const line of logged) expect(line).toMatch(/^20.* UTC --serve refused client 127\.[0-9.]+: "/);
    expect(logged.join('\n')).toContain('"sh\\nid"');
    expect(logged.join('\n')).toContain('\\x1b[2J\\u202e');

    // By sshd itself.
    const forwarded = await ssh(['-W', `${standby.sshd.address}:${standby.sshd.port}`, 's1']);
    expect(forwarded.code).not.toBe(0);
    expect(forwarded.stderr).toMatch(/prohibited|forwarding failed/);
    expect((await ssh(['-s', 's1', 'sftp'])).code).not.toBe(0);
    expect((await ssh(['-tt', 's1'])).stderr).toMatch(/PTY allocation request failed/);
    const rsync = (...args: string[]) =>
      run('/usr/bin/rsync', ['-e', cluster.host.ssh, ...args], { env: cluster.host.env });
    const own = join(cluster.host.directory, 'own');
    writeFileSync(own, 'x');
    for (const args of [
      ['-t', own, `s1:${standby.archiveDir}/${cluster.segment(2)}`],
      ['-t', own, 's1:/tmp/'],
      ['-t', `s1:/etc/passwd`, cluster.host.directory],
      ['-a', '--delete', `${cluster.host.directory}/`, `s1:${inbox}`],
    ])
      expect((await rsync(...args)).code).not.toBe(0);

    // A receiver that is allowed takes neither links nor names with a parent.
    await run('/bin/ln', ['-s', '/etc/passwd', join(cluster.host.directory, 'link')]);
    const link = await rsync('--no-s', '-t', join(cluster.host.directory, 'link'), own, `s1:${inbox}`);
    expect(link.stdout + link.stderr).toMatch(/skipping non-regular file "link"/);
    expect(readdirSync(join(standby.archiveDir, inbox))).toEqual(['own']);

    expect(existsSync(trace)).toBe(false);
    const known = [...before, '.cmd_standby.refused'].sort();
    expect(readdirSync(standby.archiveDir).sort()).toEqual(known);
    expect(archivedFiles(standby)).toEqual([cluster.segment(1)]);
  });
});

describe.each(newestMajors())('with restricted keys on PostgreSQL %i', (major) => {
  test.override({ major });

  test('a standby catches up, and is checked, audited and shown', { timeout: 400_000 }, async ({ world }) => {
    const { primary, second } = await makeShippingTrio(world);
    restrict(second);
    for (const pid of shipperPids(primary.host)) process.kill(pid, 'SIGTERM');
    await eventually(() => shipperPids(primary.host).length === 0);
    const names = await archiveSegments(primary, 3);
    await untilCaughtUp(primary, 's2');
    for (const name of names) await second.received(name);
    const audit = await world.cmdArchiver(primary, ['--audit', 's2', '--digests', '--json']);
    expectExit(audit, 0);
    await eventually(
      async () => {
        const status = await world.cmdArchiver(primary, ['--status', '--live', '--json']);
        expectExit(status, 0);
        const { findings } = JSON.parse(status.stdout) as { findings: readonly { about?: string }[] };
        return findings.every(({ about }) => about !== 's2');
      },
      { limitMs: 180_000, what: 'the standby shown, within the limit of a view' },
    );
    const check = await world.cmdArchiver(primary, ['--check', 'delivery', 'standbys']);
    expect(check.stdout).not.toMatch(/refused|restricted/);
    expectExit(await world.cmdArchiver(primary, ['--abandon', 's2']), 0);
    expectExit(await world.cmdArchiver(primary, ['--resume', 's2']), 0);
    expect(refusals(second.host)).toEqual([]);
  });

  test('-F999 fetches what only the other standby has, and informs it', async ({ world }) => {
    const { primary, heir, other, holdBack, archiveRows } = await makeTrio(world);
    restrict(other);
    await startStandbys(world, heir, other);
    await archiveRows(100);
    await hasRows(heir, 100);
    holdBack(heir);
    const missing = [await archiveRows(200), await archiveRows(300)];
    await hasRows(other, 300);
    await primary.kill9();
    expectExit(await world.cmdStandby(heir, ['-F999']), 0);
    expect(await countRows(heir)).toBe(300);
    for (const name of missing) expect(heir.archivedBytes(name).equals(other.archivedBytes(name))).toBe(true);
    expect(marksAt(other)).toEqual([expect.stringMatching(new RegExp(`^left: 1 ${forkOf(heir)} `))]);
    expect(refusals(other.host)).toEqual([]);
  });
});

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { moduleName } from '../../src/system/rsync-daemon.ts';
import { encodeText } from '../../src/system/wire-words.ts';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import type { Host } from '../harness/host.ts';
import { debianMajor, newestMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { type Finished, mustRun, run } from '../harness/processes.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { backupPair } from './backup-kit.ts';
import { addressOf, addRows, hasRows as rowsOf, makeThree, streams } from './follow-kit.ts';
import { countRows, expectExit, slotsOn } from './standby-kit.ts';
import { hasRows, insertRows, isPrimary, makeDuo } from './switchover-kit.ts';

interface Place {
  readonly host: Host;
  readonly iniFile: string;
}

/** A key of a standby, for its primary alone: the world's key stays as it is, for the delivery. */
async function makeDataKey(world: World): Promise<string> {
  const key = join(world.directory, 'keys', 'data');
  await mustRun('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  return key;
}

function allow({ host, iniFile }: Place, key: string, ...more: readonly string[]): void {
  const command = [checkout('bin', 'cmd_archiver'), '-C', iniFile, '--serve', ...more].join(' ');
  const line = `restrict,command="${command}" ${readFileSync(`${key}.pub`, 'utf8')}`;
  appendFileSync(join(host.directory, 'ssh', 'authorized_keys'), line);
}

const sshWith = ({ host }: Pick<Place, 'host'>, key: string): string => `${host.ssh} -i ${key}`;

/** A thief is in a hurry. */
const atOnce = 6;

function refusals({ host }: Pick<Primary, 'host'>): string {
  const file = join(host.directory, 'l_archive', '.archiver', 'refused');
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

describe.each(newestMajors())('a key that is restricted to the data of PostgreSQL %i', (major) => {
  test.override({ major });

  test('is enough for -B with a tablespace, streaming by a slot, -P, --status and --check', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world, {
      ini: {
        use_streaming_replication: 'on',
        use_slot: 'yes',
        slot_unlimited: 'yes',
        rsync_threads: 2,
        failover_probe_timeout: 30,
      },
    });
    const key = await makeDataKey(world);
    standby.writeIni({ ssh: sshWith(standby, key), basebackup_nice: 5 });
    allow(primary, key);
    const [theirs, ours] = [primary, standby].map(({ host }) => join(host.directory, 'a space'));
    mkdirSync(theirs ?? '');
    await primary.sql(`CREATE TABLESPACE apart LOCATION '${theirs ?? ''}'`);
    await primary.sql('CREATE TABLE t TABLESPACE apart AS SELECT generate_series(1, 5000) AS n');
    appendFileSync(standby.iniFile, `\n[tablespaces]\n${theirs ?? ''} = ${ours ?? ''}\n`);

    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    const check = await world.cmdStandby(standby, ['--check']);
    expect(check.stdout).not.toContain('refuse');
    const first = await world.cmdStandby(standby, ['-B', '--verify']);
    expectExit(first, 0);
    expect(first.stdout).toMatch(/Base backup finished successfully\n$/);
    // Only what has changed since.
    await primary.sql('INSERT INTO t VALUES (5001)');
    const second = await world.cmdStandby(standby, ['-B']);
    expectExit(second, 0);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await primary.sql('INSERT INTO t VALUES (5002)');
    await eventually(async () => (await standby.value('SELECT max(n) FROM t')) === '5002');
    expect(await slotsOn(primary)).toHaveLength(1);
    const ping = await world.cmdStandby(standby, ['-P']);
    expectExit(ping, 0);
    // The look over ssh shows what the server is.
    expect(ping.stdout).not.toContain('not determined');
    expectExit(await world.cmdStandby(standby, ['--status']), 0);
    expect(refusals(primary)).toBe('');
  });

  test('refuses what a thief would try, and logs it', async ({ world }) => {
    const { primary, standby } = await backupPair(world);
    const key = await makeDataKey(world);
    allow(primary, key);
    const { pgdata, host } = primary;
    const passwords = join(host.directory, 'home', '.pgpass');
    writeFileSync(passwords, '*:*:*:*:secret of the thief\n', { mode: 0o600 });
    symlinkSync('/etc/passwd', join(pgdata, 'evil.conf'));
    await primary.sql('CREATE TABLE seen (id int)');

    const [program = '', ...words] = sshWith(standby, key).split(' ');
    const ask = (command: string, input = ''): Promise<Finished> =>
      run(
        program,
        [...words, '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=accept-new', host.address, command],
        {
          env: standby.host.env,
          stdin: input,
        },
      );
    const path = encodeText;
    const session = `psql 127.0.0.1 ${primary.port} ${primary.user} postgres ${'a'.repeat(24)} ${'b'.repeat(24)}`;
    const nonce = 'c'.repeat(24);
    const otherPassword = `md5${'0'.repeat(32)}`;
    const attempts: readonly (readonly [string, string?])[] = [
      [''],
      ['id'],
      ['sh', 'id\n'],
      ['sh', `cat ${passwords}\n`],
      ['sh -c id'],
      ['bash -i'],
      ['scp -t /tmp/x'],
      [`cat ${passwords}`],
      ['read-file /etc/passwd 1000'],
      [`read-file ${path(passwords)} 1000`],
      [`read-file ${path(`${pgdata}/../home/.pgpass`)} 1000`],
      [`read-file ${path(`${pgdata}/evil.conf`)} 1000`],
      [`read-file ${path(`${pgdata}/PG_VERSION`)} 1000; id`],
      [`read-file ${path(`${pgdata}/PG_VERSION' && id && '`)} 1000`],
      [`read-file ${path(`${pgdata}/PG_VERSION`)} 999999999999`],
      ['is-file /etc/passwd'],
      ['ini-file /etc/passwd'],
      [`files ${path('/etc')} - -`],
      [`files ${path(host.directory)} - -`],
      [`sizes ${path(pgdata)} ..%2F..%2Fetc%2Fpasswd`],
      [`pages ${path(pgdata)} evil.conf:0:8192`],
      ['places /etc'],
      [`probes ${'d'.repeat(16)} /etc`],
      ['processes /etc'],
      [`archive-program ${path(pgdata)} ${path('/bin/sh')} ${path('/etc/passwd')}`],
      [`sentinel ${path('/etc')}`],
      [`begin-offer ${path('/tmp')} 1 thief ${'d'.repeat(16)}`],
      [`begin-offer ${path(host.archiveDir)} 1 .. ${'d'.repeat(16)}`],
      ['psql 127.0.0.1 1 postgres postgres x y'],
      [session.replace(String(primary.port), '1')],
      [session.replace('127.0.0.1', '192.0.2.1')],
      [session, `SELECT pg_read_file('/etc/passwd');\n`],
      [session, `${nonce} beat; DROP TABLE seen\n`],
      [session, `${nonce} drop-slot ${path("x' OR true; DROP TABLE seen; --")}\n`],
      [session, `${nonce} data-directory ${path("pg_catalog\".pg_ls_dir('/'); --")}\n`],
      [session, `${nonce} start-backup-fast public ${path("pitrtools ' || pg_read_file('x') || '")}\n`],
      [session, `${nonce} data-directory pg_catalog\n`],
      [session, `${nonce} make-role ${path(primary.user)} ${otherPassword}\n`],
      [session, `${nonce} make-role pitrtools_x ${path("x' SUPERUSER PASSWORD 'y")}\n`],
      [session, '\\! id\n'],
      ['rsync --server --sender -logDtpre.iLsfxCIvu . /etc/'],
      [`rsync --server -logDtpre.iLsfxCIvu . ${pgdata}/`],
      ['rsync --server --daemon --config=/tmp/mine .'],
      ['nice -n 1 sh -c id rsync --server --daemon .'],
      [`stop-primary 1 ${standby.host.address} 1 ${'d'.repeat(16)}`],
      [`resume-primary 1 1 ${'d'.repeat(16)}`],
    ];
    for (let from = 0; from < attempts.length; from += atOnce) {
      const some = attempts.slice(from, from + atOnce);
      const before = refusals(primary).split('\n').length;
      const tried = await Promise.all(some.map(([command, input]) => ask(command, input)));
      for (const [index, { code, stdout, stderr }] of tried.entries()) {
        expect({ attempt: some[index], code }).not.toMatchObject({ code: 0 });
        expect(stdout + stderr).not.toMatch(/uid=|root:x:|secret of the thief|^\s*72 6f 6f 74/m);
      }
      const logged = refusals(primary).split('\n').length - before;
      expect({ some, logged }).toMatchObject({ logged: some.length });
    }
    expect(await primary.value('SELECT count(*) FROM seen')).toBe('0');
    // A role that only has such a name keeps its password.
    await primary.sql('CREATE ROLE pitrtools_admin SUPERUSER');
    const admin = await ask(session, `${nonce} make-role pitrtools_admin ${otherPassword}\n`);
    expect(admin.stderr).toContain('can do more than stream');
    expect(
      await primary.value("SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'pitrtools_admin'"),
    ).toBe('true');

    // rsync's daemon: its modules are directories of the cluster, and nothing is written there.
    const module = moduleName(pgdata);
    const copy = (from: string, to: string, ...more: string[]): Promise<Finished> =>
      run('rsync', ['-e', `${sshWith(standby, key)} -o BatchMode=yes`, ...more, from, to], {
        env: standby.host.env,
      });
    const target = join(standby.host.directory, 'stolen');
    mkdirSync(target);
    expect(await copy(`${host.address}::${module}/PG_VERSION`, target)).toMatchObject({ code: 0 });
    expect(existsSync(join(target, 'PG_VERSION'))).toBe(true);
    for (const [from, to, ...more] of [
      [`${host.address}::${moduleName('/etc')}/passwd`, target],
      [`${host.address}::${module}/../home/.pgpass`, target],
      [`${host.address}::${module}/evil.conf`, target, '-L'],
      [`${host.address}::${module}/PG_VERSION`, target, '--remove-source-files', '-I'],
      [join(target, 'PG_VERSION'), `${host.address}::${module}/stolen`],
      [`${host.address}:/etc/passwd`, target],
    ] as const) {
      const tried = await copy(from, to, ...more);
      expect({ from, to, code: tried.code }).not.toMatchObject({ code: 0 });
    }
    expect(existsSync(join(pgdata, 'PG_VERSION'))).toBe(true);
    expect(existsSync(join(pgdata, 'stolen'))).toBe(false);
    expect(existsSync(join(target, 'passwd'))).toBe(false);

    // A link to a directory would take rsync and find along.
    rmSync(join(pgdata, 'evil.conf'));
    symlinkSync('/etc', join(pgdata, 'evil'));
    const led = await copy(`${host.address}::${module}/evil/passwd`, target);
    expect(led.code).not.toBe(0);
    expect(led.stderr).toContain('is a link to a directory that is no part of the cluster');
    const standbyKey = { ssh: sshWith(standby, key) };
    standby.writeIni(standbyKey);
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    const backup = await world.cmdStandby(standby, ['-B']);
    expectExit(backup, 1);
    expect(backup.stderr).toContain(`${join(pgdata, 'evil')} is a link to a directory`);
  });

  test(
    'needs --roles for a change of roles, as its dry run says',
    { timeout: 300_000 },
    async ({ world }) => {
      const { old, oldAsStandby, heir, heirAsPrimary } = await makeDuo(world, {
        streams: true,
        cluster: { checksums: true },
      });
      const key = await makeDataKey(world);
      const ofData = (standby: Standby): void => {
        standby.writeIni({ ssh: sshWith(standby, key) });
      };
      ofData(heir);
      ofData(oldAsStandby);
      const plain = readFileSync(join(old.host.directory, 'ssh', 'authorized_keys'), 'utf8');
      allow(old, key);
      allow(heirAsPrimary, key, '--roles');
      await insertRows(old, 100);
      const lacking = await world.cmdStandby(heir, ['--switchover', '--dry-run']);
      expect(lacking.code).not.toBe(0);
      expect(lacking.stderr).toContain('--serve --roles');
      expect(await isPrimary(old)).toBe(true);

      writeFileSync(join(old.host.directory, 'ssh', 'authorized_keys'), plain);
      allow(old, key, '--roles');
      expectExit(await world.cmdStandby(heir, ['--switchover', '--dry-run']), 0);
      const there = await world.cmdStandby(heir, ['--switchover']);
      expectExit(there, 0);
      expect(await isPrimary(heir)).toBe(true);
      await insertRows(heirAsPrimary, 50);
      await hasRows(old, 150);
      expect(await countRows(heir)).toBe(150);
    },
  );
});

describe('with a key that is restricted to the data', () => {
  test.override({ major: debianMajor() });

  test('a former primary offers the WAL that only it has, and rejoins by pg_rewind', async ({ world }) => {
    const { primary, heir, former } = await makeThree(world, {
      heir: streams,
      former: streams,
      primary: { checksums: true },
    });
    await addRows(primary, 100);
    await rowsOf(heir, 100);
    expectExit(await world.cmdStandby(heir, ['-F999', '--force']), 0);
    primary.configure({ archive_command: 'false' });
    await primary.reload();
    await primary.sql('INSERT INTO rows SELECT generate_series(1001, 1100)');
    const unsent = await primary.switchWal();
    await addRows(heir, 200);
    await primary.kill9();

    const key = await makeDataKey(world);
    allow(await world.asPrimary(heir, ['primary']), key);
    former.writeIni({ ssh: sshWith(former, key) });
    expectExit(await world.cmdStandby(former, ['--rejoin', addressOf(heir)]), 0);
    expect(readdirSync(join(heir.archiveDir, '.diverged-1'))).toContain(unsent);
    await rowsOf(former, 200);
  });
});

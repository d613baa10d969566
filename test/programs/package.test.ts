import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { mustRun, run, start } from '../harness/processes.ts';
import { removeTree } from '../harness/remove-tree.ts';
import { createWorld, type World } from '../harness/world.ts';
import { backupPair } from './backup-kit.ts';
import {
  build,
  buildElsewhere,
  dpkg,
  emptyRoot,
  made,
  mayUseDpkg,
  olderThan,
  postgresAccount,
  treeOf,
  tryDpkg,
} from './package-kit.ts';
import { countRows, expectExit } from './standby-kit.ts';

const programs = ['cmd_archiver', 'cmd_standby'] as const;
let directory = '';
let built = '';

beforeAll(async () => {
  directory = mkdtempSync(join(process.env['PITRTOOLS_TEST_TMP'] ?? tmpdir(), 'package-'));
  built = await build(join(directory, 'built'));
});
afterAll(() => {
  removeTree(directory);
});

test('two builds of the same commit, in different folders and with different umasks, give the same bytes', async () => {
  const again = await buildElsewhere(join(directory, 'else where', 'copy'), join(directory, 'again'));
  for (const ending of ['.tgz', '.deb'])
    expect(readFileSync(made(ending, again)).equals(readFileSync(made(ending, built))), ending).toBe(true);
});

describe('the npm package', () => {
  let world: World | undefined;
  let prefix = '';
  const ofCheckout = process.env['PITRTOOLS_TEST_CHECKOUT'];

  beforeAll(async () => {
    prefix = join(directory, 'prefix');
    // Nothing is fetched: what it needs is in it.
    await mustRun('npm', ['install', '--global', '--offline', '--prefix', prefix, made('.tgz', built)], {
      env: { ...process.env, HOME: directory, npm_config_cache: join(directory, 'empty-cache') },
    });
  });
  afterEach(async () => {
    await world?.close();
    world = undefined;
    if (ofCheckout === undefined) delete process.env['PITRTOOLS_TEST_CHECKOUT'];
    else process.env['PITRTOOLS_TEST_CHECKOUT'] = ofCheckout;
  });

  test.each(programs)('installs %s without a registry and without any other package', async (program) => {
    const result = await run(join(prefix, 'bin', program), ['--version'], { cwd: '/' });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout.trim()).toBe(version());
    expect(existsSync(join(prefix, 'lib/node_modules/pitrtools/node_modules'))).toBe(false);
    const files = [
      'etc/postgresql-may-start.conf',
      'etc/systemd/pitrtools-ping.timer',
      'etc/grafana/pitrtools.json',
    ];
    for (const file of files) expect(existsSync(join(prefix, 'lib/node_modules/pitrtools', file))).toBe(true);
    expect(existsSync(join(prefix, 'share/man/man1', `${program}.1`))).toBe(true);
    expect(existsSync(join(prefix, 'share/man/man5', `${program}.ini.5`))).toBe(true);
  });

  test('contains the licences of the bundled packages', () => {
    const text = readFileSync(join(prefix, 'lib/node_modules/pitrtools/dist/LICENSES'), 'utf8');
    const { dependencies } = manifest();
    for (const name of Object.keys(dependencies)) expect(text).toMatch(new RegExp(`^${name} \\d`, 'm'));
  });

  test('makes a standby, ships WAL to it, verifies its copy and fails over to it', async () => {
    process.env['PITRTOOLS_TEST_CHECKOUT'] = join(prefix, 'lib/node_modules/pitrtools');
    const [major] = failureMajors();
    if (major === undefined) throw new Error('no PostgreSQL to test with');
    world = await createWorld({ major });
    const { primary, standby } = await backupPair(world);
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    expectExit(await world.cmdStandby(standby, ['-B', '--verify']), 0);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await primary.sql('CREATE TABLE rows AS SELECT generate_series(1, 1000) AS n');
    await standby.received(await primary.switchWal());
    await primary.kill9();
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(await countRows(standby)).toBe(1000);
  });
});

describe('the Debian package', () => {
  let deb = '';
  let older = '';
  beforeAll(async () => {
    deb = made('_all.deb', built);
    older = await olderThan(deb, directory);
  });
  beforeEach(async (context) => {
    if (!(await mayUseDpkg())) context.skip('no user namespaces here');
  });
  const newRoot = (name: string, accounts = postgresAccount) => emptyRoot(join(directory, name), accounts);

  test('can be installed, upgraded, removed and purged, and touches no INI file before the purge', async () => {
    const root = newRoot('debian');
    const data = join(root, 'var/lib/postgresql');
    for (const place of ['archive', 'l_archive/.archiver', '15/main']) {
      mkdirSync(join(data, place), { recursive: true });
      writeFileSync(join(data, place, 'file'), place);
    }
    const untouched = treeOf(data);
    await dpkg(root, '--install', older);
    const ini = join(root, 'etc/pitrtools/cmd_archiver.ini');
    expect(statSync(join(root, 'etc/pitrtools')).mode & 0o777).toBe(0o750);
    expect(readdirSync(join(root, 'etc/pitrtools'))).toEqual([]);
    writeFileSync(ini, '[DEFAULT]\n');
    const ssh = join(root, 'etc/pitrtools/ssh');
    mkdirSync(ssh);
    // As --setup and the metrics' units make them, and as a killed run leaves them; the other files are a person's.
    for (const name of [
      'id_archive',
      'id_archive.pub',
      'id_data',
      'id_data.pub',
      '.new',
      '.new.pub',
      '.setup.lock',
    ])
      writeFileSync(join(ssh, name), name);
    for (const name of ['known_hosts', 'known_hosts.old', '.known_hosts.4711.tmp', 'id_other'])
      writeFileSync(join(ssh, name), name);
    for (const name of ['cmd_standby.ini', '.cmd_standby.ini.4711.tmp', 'own.conf'])
      writeFileSync(join(root, 'etc/pitrtools', name), name);
    const metrics = join(root, 'var/lib/pitrtools-metrics');
    mkdirSync(metrics);
    writeFileSync(join(metrics, 'cmd_standby.prom'), '');
    const systemd = join(root, 'etc/systemd/system');
    const wants = join(systemd, 'timers.target.wants');
    const ofServer = join(systemd, 'postgresql@15-main.service.wants');
    expect(existsSync(join(root, 'etc/systemd'))).toBe(false);
    for (const folder of [wants, ofServer]) mkdirSync(folder, { recursive: true });
    symlinkSync('/usr/lib/systemd/system/pitrtools-ping.timer', join(wants, 'pitrtools-ping.timer'));
    symlinkSync('/etc/systemd/system/pitrtools-own.timer', join(wants, 'pitrtools-own.timer'));
    const template = '/usr/lib/systemd/system/pitrtools-shipper@.service';
    symlinkSync(template, join(ofServer, 'pitrtools-shipper@15-main.service'));

    await dpkg(root, '--install', deb);
    expect(existsSync(join(root, 'usr/lib/pitrtools/dist/gone.js'))).toBe(false);
    for (const program of programs)
      expect(await run(join(root, 'usr/bin', program), ['--version'])).toMatchObject({
        code: 0,
        stderr: '',
        stdout: `${version()}\n`,
      });

    expect(readdirSync(wants)).toEqual(['pitrtools-own.timer', 'pitrtools-ping.timer']);

    const own = treeOf(join(root, 'etc/pitrtools'));
    const removed = await dpkg(root, '--remove', 'pitrtools');
    expect(existsSync(join(root, 'usr/bin/cmd_archiver'))).toBe(false);
    expect(existsSync(join(root, 'usr/share/doc/pitrtools'))).toBe(false);
    expect(readFileSync(ini, 'utf8')).toBe('[DEFAULT]\n');
    expect(treeOf(join(root, 'etc/pitrtools'))).toEqual(own);
    expect(readdirSync(wants)).toEqual(['pitrtools-own.timer']);
    expect(existsSync(ofServer)).toBe(false);
    expect(removed.stdout).toContain('keeps all WAL until another archive_command is set');

    await dpkg(root, '--purge', 'pitrtools');
    expect(treeOf(join(root, 'etc/pitrtools')).map((line) => line.split(' ')[0])).toEqual([
      '/own.conf',
      '/ssh',
      '/ssh/id_other',
    ]);
    expect(existsSync(metrics)).toBe(false);
    expect(treeOf(data)).toEqual(untouched);
  });

  test('is purged without a trace of what --setup has made, and without following a link that postgres has made', async () => {
    const root = newRoot('set-up');
    await dpkg(root, '--install', deb);
    const folder = join(root, 'etc/pitrtools');
    mkdirSync(join(folder, 'ssh'));
    for (const name of ['cmd_archiver.ini', 'ssh/id_data', 'ssh/known_hosts'])
      writeFileSync(join(folder, name), '');
    await dpkg(root, '--purge', 'pitrtools');
    expect(existsSync(folder)).toBe(false);

    await dpkg(root, '--install', deb);
    const foreign = join(root, 'root/.ssh');
    mkdirSync(foreign, { recursive: true });
    writeFileSync(join(foreign, 'known_hosts'), '');
    symlinkSync(foreign, join(folder, 'ssh'));
    await dpkg(root, '--purge', 'pitrtools');
    expect(readdirSync(foreign)).toEqual(['known_hosts']);
    expect(readdirSync(folder)).toEqual(['ssh']);
  });

  test('is not replaced or removed while cmd_standby runs, and names a shipper that runs the old code', async () => {
    const root = newRoot('busy');
    await dpkg(root, '--install', older);
    // The installed programs would need a cluster: only their command lines count.
    const busy = (program: string, ...args: string[]) => {
      const path = join(root, 'usr/lib/pitrtools/dist', program);
      const running = start('/bin/sh', ['-c', 'sleep 100; :', path, ...args]);
      onTestFinished(() => {
        running.killFamily();
      });
      return running;
    };
    const backup = busy('cmd-standby.js', '-C', '/a.ini', '-B');
    const shipper = busy('cmd-archiver.js', '-C', '/a.ini', '--ship');
    for (const action of [
      ['--install', deb],
      ['--remove', 'pitrtools'],
    ]) {
      const refused = await tryDpkg(root, ...action);
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toContain(`  ${backup.pid}: -C /a.ini -B\n`);
      expect(await statusOf(root)).toMatch(/ ok installed 1\.9$/);
      expect(existsSync(join(root, 'usr/lib/pitrtools/dist/gone.js'))).toBe(true);
    }
    backup.killFamily();
    await backup.finished;
    const { stdout } = await dpkg(root, '--install', deb);
    expect(stdout).toContain(`the shipper with the process number ${shipper.pid} runs the previous version`);
    await dpkg(root, '--remove', 'pitrtools');
    await eventually(() => !existsSync(`/proc/${shipper.pid}`), { what: 'the end of the shipper' });
  });

  test('makes no user and no folder of INI files without one, and says how to make it', async () => {
    const root = newRoot('no-user', 'root:x:0:0:::/bin/sh\n');
    const { stdout } = await dpkg(root, '--install', deb);
    expect(stdout).toContain('install -d -o postgres -g postgres -m 0750 /etc/pitrtools');
    expect(existsSync(join(root, 'etc/pitrtools'))).toBe(false);
    for (const file of ['etc/passwd', 'etc/group']) writeFileSync(join(root, file), postgresAccount);
    expect((await dpkg(root, '--install', deb)).stdout).not.toContain('install -d');
    expect(existsSync(join(root, 'etc/pitrtools'))).toBe(true);
    await dpkg(root, '--purge', 'pitrtools');
    expect(existsSync(join(root, 'etc/pitrtools'))).toBe(false);
  });

  describe('installed', () => {
    let root = '';
    beforeAll(async () => {
      if (!(await mayUseDpkg())) return;
      root = newRoot('contents');
      await dpkg(root, '--install', deb);
    });
    const text = (path: string) => readFileSync(join(root, path), 'utf8');
    const folder = (path: string) => readdirSync(join(root, path));

    test('has each path that doc/install.md names', () => {
      const page = readFileSync(checkout('doc/install.md'), 'utf8');
      const paths = [...page.matchAll(/`(\/(?:usr|etc)\/[^`\s]*)`/g)].map(([, path = '']) => path);
      const later = /^\/etc\/pitrtools\/cmd_\w+\.ini$|^\/usr\/lib\/pitrtools-node$/;
      expect(paths.length).toBeGreaterThan(10);
      for (const path of paths.filter((one) => !later.test(one)))
        expect(existsSync(join(root, path)), path).toBe(true);
    });

    test('has every page to which another one links', () => {
      const doc = '/usr/share/doc/pitrtools';
      const pages = ['README.md', ...folder(`${doc}/doc`).map((name) => `doc/${name}`)];
      for (const page of pages.filter((name) => name.endsWith('.md')))
        for (const [, target = ''] of text(join(doc, page)).matchAll(/\]\((?!\w+:|#)([^)#\s]+)/g))
          expect(existsSync(join(root, doc, dirname(page), target)), `${page}: ${target}`).toBe(true);
    });

    test('has units with its own paths, of which none is enabled', async () => {
      const units = '/usr/lib/systemd/system';
      const ours = readdirSync(checkout('etc/systemd'));
      expect(folder(units)).toEqual([...ours, 'pitrtools-shipper@.service'].sort());
      expect(existsSync(join(root, 'etc/systemd'))).toBe(false);
      const shipper = text(join(units, 'pitrtools-shipper@.service'));
      expect(shipper).toMatch(
        /^ExecStart=\/usr\/bin\/cmd_archiver -C \/etc\/pitrtools\/cmd_archiver\.ini --ship$/m,
      );
      expect(shipper).toMatch(/^Before=postgresql@%i\.service$/m);
      expect(shipper).toMatch(/^WantedBy=postgresql@%i\.service$/m);
      const named = await run('grep', ['-rl', '/var/lib/postgresql/pitrtools', root]);
      expect(named.stdout.split('\n').filter((path) => !/\/pitrtools\/(doc|README|dist)/.test(path))).toEqual(
        [''],
      );
    });

    test('has manual pages that mandoc and groff read without a complaint', async (context) => {
      const pages = [
        'man1/cmd_archiver.1',
        'man1/cmd_standby.1',
        'man5/cmd_archiver.ini.5',
        'man5/cmd_standby.ini.5',
      ];
      for (const page of pages) {
        const path = join(root, 'usr/share/man', `${page}.gz`);
        const source = gunzipSync(readFileSync(path));
        if (existsSync('/usr/bin/groff')) {
          const set = await run('groff', ['-man', '-ww', '-Tutf8', '-z'], { stdin: source });
          expect(set, page).toMatchObject({ code: 0, stderr: '' });
        }
        if (!existsSync('/usr/bin/mandoc')) context.skip('mandoc is not installed here');
        const lint = await run('mandoc', ['-Tlint', '-Wstyle'], { stdin: source });
        expect(lint, page).toMatchObject({ code: 0, stdout: '', stderr: '' });
      }
    });
  });

  test('has no error for lintian', async (context) => {
    if (!existsSync('/usr/bin/lintian')) context.skip('lintian is not installed here');
    const result = await run('lintian', ['--fail-on', 'error', '--tag-display-limit', '0', deb]);
    expect(result, result.stdout).toMatchObject({ code: 0 });
    expect(result.stdout).not.toMatch(/^E: /m);
  });
});

async function statusOf(root: string): Promise<string> {
  const format = '${Status} ${Version}';
  return mustRun('dpkg-query', [`--admindir=${join(root, 'var/lib/dpkg')}`, '-W', '-f', format, 'pitrtools']);
}

interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

function manifest(): Manifest {
  return JSON.parse(readFileSync(checkout('package.json'), 'utf8')) as Manifest;
}

function version(): string {
  return manifest().version;
}

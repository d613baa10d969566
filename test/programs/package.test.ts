import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { mustRun, run } from '../harness/processes.ts';
import { removeTree } from '../harness/remove-tree.ts';
import { createWorld, type World } from '../harness/world.ts';
import { backupPair } from './backup-kit.ts';
import { countRows, expectExit } from './standby-kit.ts';

const programs = ['cmd_archiver', 'cmd_standby'] as const;
let directory = '';
let built = '';

async function build(into: string): Promise<string> {
  await mustRun(checkout('scripts/package/build'), [into]);
  return into;
}

function made(ending: string, from = built): string {
  const [file] = readdirSync(from).filter((name) => name.endsWith(ending));
  if (file === undefined) throw new Error(`no ${ending} in ${from}`);
  return join(from, file);
}

beforeAll(async () => {
  directory = mkdtempSync(join(process.env['PITRTOOLS_TEST_TMP'] ?? tmpdir(), 'package-'));
  built = await build(join(directory, 'built'));
});
afterAll(() => {
  removeTree(directory);
});

test('two package builds of the same commit give the same bytes', async () => {
  const again = await build(join(directory, 'again'));
  for (const ending of ['.tgz', '.deb'])
    expect(readFileSync(made(ending, again)).equals(readFileSync(made(ending))), ending).toBe(true);
});

describe('the npm package', () => {
  let world: World | undefined;
  let prefix = '';
  const ofCheckout = process.env['PITRTOOLS_TEST_CHECKOUT'];

  beforeAll(async () => {
    prefix = join(directory, 'prefix');
    // Nothing is fetched: what it needs is in it.
    await mustRun('npm', ['install', '--global', '--offline', '--prefix', prefix, made('.tgz')], {
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
    expect(existsSync(join(prefix, 'lib/node_modules/pitrtools/etc/postgresql-may-start.conf'))).toBe(true);
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
  /** dpkg with a root directory and a database of its own. It runs the scripts of the package, which heed DPKG_ROOT. */
  async function dpkg(root: string, ...args: string[]) {
    const result = await run('unshare', [
      '--map-root-user',
      'dpkg',
      `--root=${root}`,
      '--force-script-chrootless,depends,unsafe-io',
      '--log=/dev/null',
      ...args,
    ]);
    expect(result, result.stderr).toMatchObject({ code: 0 });
    return result;
  }

  function emptyRoot(name: string): string {
    const root = join(directory, name);
    mkdirSync(join(root, 'var/lib/dpkg/updates'), { recursive: true });
    for (const file of ['status', 'available']) writeFileSync(join(root, 'var/lib/dpkg', file), '');
    return root;
  }

  /** The same package with another version. */
  async function older(): Promise<string> {
    const tree = join(directory, 'older');
    await mustRun('dpkg-deb', ['-R', made('.deb'), tree]);
    const control = join(tree, 'DEBIAN/control');
    writeFileSync(control, readFileSync(control, 'utf8').replace(/^Version: .*$/m, 'Version: 1.9'));
    writeFileSync(join(tree, 'usr/lib/pitrtools/dist/gone.js'), '');
    await mustRun('dpkg-deb', ['--root-owner-group', '--build', tree, join(directory, 'older.deb')]);
    return join(directory, 'older.deb');
  }

  const mayMap = async () => (await run('unshare', ['--map-root-user', 'true'])).code === 0;

  test('can be installed, upgraded, removed and purged, and touches no INI file before the purge', async (context) => {
    if (!(await mayMap())) context.skip('no user namespaces here');
    const root = emptyRoot('debian');
    await dpkg(root, '--install', await older());
    const ini = join(root, 'etc/pitrtools/cmd_archiver.ini');
    expect(statSync(join(root, 'etc/pitrtools')).mode & 0o777).toBe(0o750);
    writeFileSync(ini, '[DEFAULT]\n');
    writeFileSync(join(root, 'etc/pitrtools/own.conf'), '');

    await dpkg(root, '--install', made('.deb'));
    expect(existsSync(join(root, 'usr/lib/pitrtools/dist/gone.js'))).toBe(false);
    const examples = readdirSync(join(root, 'usr/share/doc/pitrtools/examples'));
    expect(examples).toEqual(
      expect.arrayContaining(['pitrtools-shipper.service', 'postgresql-may-start.conf']),
    );
    for (const program of programs)
      expect(await run(join(root, 'usr/bin', program), ['--version'])).toMatchObject({
        code: 0,
        stderr: '',
        stdout: `${version()}\n`,
      });

    await dpkg(root, '--remove', 'pitrtools');
    expect(existsSync(join(root, 'usr/bin/cmd_archiver'))).toBe(false);
    expect(readFileSync(ini, 'utf8')).toBe('[DEFAULT]\n');

    await dpkg(root, '--purge', 'pitrtools');
    expect(readdirSync(join(root, 'etc/pitrtools'))).toEqual(['own.conf']);
  });
});

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

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { mayMount, type Mount, withMounts } from '../harness/own-mounts.ts';
import { mustRun, run, start } from '../harness/processes.ts';
import { removeTree } from '../harness/remove-tree.ts';

const programs = ['cmd_archiver', 'cmd_standby'] as const;
const shells = ['dash', 'bash'] as const;

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(process.env['PITRTOOLS_TEST_TMP'] ?? tmpdir(), 'launcher-'));
  onTestFinished(() => {
    removeTree(directory);
  });
  return directory;
}

/** A PATH with the tools that the launcher may use and no Node on it. */
const bare = { PATH: '/nonexistent' };
const basic = (directory: string) => ({
  PATH: toolsWithoutNode(directory),
  PITRTOOLS_NODE: process.execPath,
});

function toolsWithoutNode(directory: string): string {
  const tools = join(directory, 'tools');
  mkdirSync(tools);
  for (const tool of ['readlink', 'env', 'rsync', 'ssh']) symlinkSync(`/usr/bin/${tool}`, join(tools, tool));
  return tools;
}

function optional(): string[] {
  return existsSync('/opt') ? readdirSync('/opt').map((name) => join('/opt', name)) : [];
}

/** Stands in for Node, so that the test decides how it ends. */
function fakeNode(directory: string, body: string): string {
  const path = join(directory, 'fake-node');
  writeFileSync(path, `#!/bin/sh\n${body}\n`, { mode: 0o700 });
  return path;
}

describe.each(programs)('%s', (program) => {
  test('runs from the checkout, whatever the working directory', async () => {
    const result = await run(checkout('bin', program), ['--version'], { cwd: '/' });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toMatch(/^\S*\d+\.\d+\.\d+/m);
  });

  test('runs through a chain of symbolic links, relative and absolute', async () => {
    const directory = temporaryDirectory();
    symlinkSync(checkout('bin', program), join(directory, 'first'));
    symlinkSync('first', join(directory, program));
    const result = await run(join(directory, program), ['--version'], { env: basic(directory) });
    expect(result).toMatchObject({ code: 0, stderr: '' });
  });

  test('runs from a copy of the folder with blanks in its path', async () => {
    const copy = join(temporaryDirectory(), 'a copy');
    for (const part of ['bin', 'dist', 'node_modules', 'package.json'])
      cpSync(checkout(part), join(copy, part), { recursive: true, verbatimSymlinks: true });
    const result = await run(join(copy, 'bin', program), ['--version']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
  });

  test('prints what to do in a checkout that was not built', async () => {
    const copy = temporaryDirectory();
    cpSync(checkout('bin'), join(copy, 'bin'), { recursive: true });
    const result = await run(join(copy, 'bin', program), ['--version']);
    expect(result.code).toBe(1);
    expect(result.stderr).toBe(`ERROR: ${program}: ${copy} is not built\nHINT: Run: cd ${copy} && npm ci\n`);
  });

  test.each(['/nonexistent/node', '/usr'])('names a PITRTOOLS_NODE that cannot be run: %s', async (node) => {
    const env = { ...process.env, PITRTOOLS_NODE: node };
    const result = await run(checkout('bin', program), ['--version'], { env });
    expect(result.code).toBe(1);
    expect(result.stderr).toContain(`PITRTOOLS_NODE is ${node}, which cannot be run`);
  });

  test('answers Nagios in one line of its own where it cannot run', async () => {
    const env = { ...process.env, PITRTOOLS_NODE: '/nonexistent/n|de' };
    const result = await run(checkout('bin', program), ['--status', '--nagios'], { env });
    expect(result.code).toBe(3);
    expect(result.stdout).toBe(
      'pitrtools UNKNOWN - PITRTOOLS_NODE is /nonexistent/n/de, which cannot be run\n',
    );
  });

  test('names a Node.js that is too old, and does nothing else', async () => {
    const directory = temporaryDirectory();
    const older = join(directory, 'older.cjs');
    writeFileSync(
      older,
      "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.8' } });\n",
    );
    const env = { ...process.env, NODE_OPTIONS: `--require=${older}` };
    const result = await run(checkout('bin', program), ['-C', '/nonexistent.ini'], { env });
    expect(result.code).toBe(4);
    expect(result.stderr).toMatch(
      /^ERROR: "\/.+" is Node\.js 18\.20\.8, but 20\.19 or later is needed\nHINT: .*PITRTOOLS_NODE.*\n$/,
    );
  });

  test('says what to install where there is no Node.js', async (context) => {
    if (!(await mayMount())) context.skip('no user namespaces here');
    const places = ['/usr/lib/pitrtools-node', '/usr/local', '/usr', '/snap', ...optional()];
    const found = places.map((place) => join(place, 'bin', 'node')).filter((path) => existsSync(path));
    const hidden = found.map((path): Mount => ['/dev/null', path]);
    const command = ['/bin/sh', checkout('bin', program), '--version'];
    const result = await run(...withMounts(hidden, command), {
      env: { PATH: '/usr/sbin:/usr/bin:/bin', HOME: '/nonexistent' },
    });
    expect(result.code).toBe(1);
    expect(result.stderr).toBe(
      `ERROR: ${program}: cannot find Node.js\nHINT: Install Node.js 20.19 or later or the package pitrtools-node, or set PITRTOOLS_NODE to the path of node.\n`,
    );
  });

  test('finds Node.js in the home of the user if it is not in the PATH', async () => {
    const home = temporaryDirectory();
    const bin = join(home, '.nvm', 'versions', 'node', 'v20.19.0', 'bin');
    mkdirSync(bin, { recursive: true });
    symlinkSync(process.execPath, join(bin, 'node'));
    const usual = ['/usr/local/bin/node', '/usr/bin/node'].some(existsSync);
    const result = await run('/bin/sh', [checkout('bin', program), '--version'], {
      env: { ...bare, HOME: home },
    });
    expect(result.code).toBe(0);
    expect(usual || result.stdout !== '').toBe(true);
  });
});

describe.each(shells)('cmd_archiver under %s', (shell) => {
  const launch = (directory: string, node: string, ...args: string[]) =>
    start(`/usr/bin/${shell}`, [checkout('bin', 'cmd_archiver'), ...args], {
      env: { PATH: '/usr/bin:/bin', PITRTOOLS_NODE: node, DIRECTORY: directory },
    });

  test.each([
    [0, 0],
    [1, 1],
    [4, 4],
    [125, 125],
    [126, 1],
    [127, 1],
    [255, 1],
  ])('turns exit status %i of Node.js into %i for PostgreSQL', async (inner, outer) => {
    const directory = temporaryDirectory();
    const result = await launch(directory, fakeNode(directory, `exit ${inner}`)).finished;
    expect(result).toMatchObject({ code: outer, signal: null });
  });

  test('reports the death of Node.js by a signal as a failure that PostgreSQL counts', async () => {
    const directory = temporaryDirectory();
    const result = await launch(directory, fakeNode(directory, 'kill -9 $$')).finished;
    expect(result).toMatchObject({ code: 1, signal: null });
  });

  test.each(['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP'] as const)('exits 1 after %s', async (signal) => {
    const directory = temporaryDirectory();
    const node = fakeNode(directory, `trap 'echo told; exit 9' TERM\necho up\nwhile :; do sleep 0.05; done`);
    const running = launch(directory, node);
    await eventually(() => running.output().includes('up'));
    running.signal(signal);
    expect(await running.finished).toMatchObject({ code: 1, signal: null, stdout: 'up\ntold\n' });
  });
});

test('npm install -g puts both programs into the PATH', async () => {
  const directory = temporaryDirectory();
  const env = { ...process.env, npm_config_cache: join(directory, 'cache') };
  const options = [
    '--global',
    '--prefix',
    directory,
    '--offline',
    '--ignore-scripts',
    '--no-fund',
    '--no-audit',
  ];
  await mustRun('npm', ['install', ...options, checkout()], { env });
  for (const program of programs) {
    const path = join(directory, 'bin', program);
    expect(readlinkSync(path)).toContain('node_modules/pitrtools/bin');
    expect(await run(path, ['--version'])).toMatchObject({ code: 0, stderr: '' });
  }
});

test('one call of archive_command loads none of the network protocols that only rare requests need', async () => {
  const heavy = '/^NativeModule (https?|http2|tls|_http_client)$/';
  const code = `await import(process.argv[1]); console.log(JSON.stringify(process.moduleLoadList.filter((name) => ${heavy}.test(name))))`;
  const archive = checkout('dist', 'archiver', 'actions', 'archive.js');
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', code, archive]);
  expect(JSON.parse(stdout)).toEqual([]);
});

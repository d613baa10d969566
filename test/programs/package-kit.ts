import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { type Finished, mustRun, run } from '../harness/processes.ts';

/** The time that the packages' files get, so that no build depends on where it runs. */
const env = { ...process.env, SOURCE_DATE_EPOCH: '1700000000' };

export async function build(into: string): Promise<string> {
  await mustRun(checkout('scripts/package/build'), [into], { env });
  return into;
}

/** Builds in a copy of the sources, for a caller with another umask. */
export async function buildElsewhere(copy: string, into: string): Promise<string> {
  mkdirSync(copy, { recursive: true });
  const names = readdirSync(checkout()).filter((name) => !['.git', '.cache'].includes(name));
  // Hard links where they can be made: the build writes to none of these files.
  const link = 'cp -al -- "$@" 2>/dev/null || cp -a -- "$@"';
  await mustRun('sh', ['-c', link, 'sh', ...names, copy], { cwd: checkout() });
  const script = 'umask 077; exec "$1" "$2"';
  await mustRun('sh', ['-c', script, 'sh', join(copy, 'scripts/package/build'), into], { env });
  return into;
}

export function made(ending: string, from: string): string {
  const [file] = readdirSync(from).filter((name) => name.endsWith(ending));
  if (file === undefined) throw new Error(`no ${ending} in ${from}`);
  return join(from, file);
}

/** dpkg with a root directory and a database of its own. It runs the scripts of the package, which heed DPKG_ROOT. */
export function tryDpkg(root: string, ...args: string[]): Promise<Finished> {
  return run('unshare', [
    '--map-root-user',
    'dpkg',
    `--root=${root}`,
    '--force-script-chrootless,depends,unsafe-io',
    '--log=/dev/null',
    ...args,
  ]);
}

export async function dpkg(root: string, ...args: string[]): Promise<Finished> {
  const result = await tryDpkg(root, ...args);
  expect(result, result.stderr).toMatchObject({ code: 0 });
  return result;
}

export async function mayUseDpkg(): Promise<boolean> {
  return (await run('unshare', ['--map-root-user', 'true'])).code === 0;
}

/** A system without anything; `accounts` are the lines of its passwd and group. */
export function emptyRoot(root: string, accounts: string): string {
  mkdirSync(join(root, 'var/lib/dpkg/updates'), { recursive: true });
  mkdirSync(join(root, 'etc'));
  for (const file of ['var/lib/dpkg/status', 'var/lib/dpkg/available']) writeFileSync(join(root, file), '');
  for (const file of ['etc/passwd', 'etc/group']) writeFileSync(join(root, file), accounts);
  return root;
}

/** In the user namespace of dpkg only this number exists: it stands for postgres. */
export const postgresAccount = 'postgres:x:0:0:::/bin/sh\n';

/** The same package with another version, and a file that the next one does not have. */
export async function olderThan(deb: string, directory: string): Promise<string> {
  const tree = join(directory, 'older');
  await mustRun('dpkg-deb', ['-R', deb, tree]);
  const control = join(tree, 'DEBIAN/control');
  writeFileSync(control, readFileSync(control, 'utf8').replace(/^Version: .*$/m, 'Version: 1.9'));
  writeFileSync(join(tree, 'usr/lib/pitrtools/dist/gone.js'), '');
  await mustRun('dpkg-deb', ['--root-owner-group', '--build', tree, join(directory, 'older.deb')]);
  return join(directory, 'older.deb');
}

/** All files and folders below, each with its type and mode. */
export function treeOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const mode = entry.isSymbolicLink() ? 'link' : (statSync(path).mode & 0o777).toString(8);
      return `${path.slice(folder.length)} ${mode}`;
    })
    .sort();
}

import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PitrError } from '../../../../../../src/errors.ts';
import { listRoot } from '../../../../../../src/standby/actions/base-backup/copy/list-files.ts';
import { localPath } from '../../../../../../src/standby/actions/base-backup/copy/planned-files.ts';
import { sizesOnPrimary } from '../../../../../../src/standby/actions/base-backup/copy/remote-sizes.ts';
import { dataRules } from '../../../../../../src/standby/host/copy-rules.ts';
import { runCommand } from '../../../../../../src/system/command.ts';
import type { RemoteShell } from '../../../../../../src/system/ssh.ts';
import type { RemoteWork } from '../../../../../../src/system/ssh.ts';
import { dottedWord } from '../../../../../../src/verbs/scripts/data-files.ts';
import { scriptOf } from '../../../../remote-work.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'list files '));
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

/** The scripts are those of the primary; here a shell of this host runs them. */
const shell = {
  target: { host: 'primary', user: 'postgres' },
  run: async (work: RemoteWork, { onLine }: { readonly onLine?: (line: string) => void }) => {
    const result = await runCommand(
      { program: '/bin/sh', args: ['-c', scriptOf(work)] },
      { limitMs: 10_000 },
    );
    const lines = result.stdout.split('\n');
    if (onLine !== undefined) lines.forEach(onLine);
    return { kind: 'done', status: result.kind === 'exited' ? result.code : 1, lines };
  },
} as unknown as RemoteShell;

function fill(...paths: readonly (string | Buffer)[]): void {
  for (const path of paths) {
    const place = localPath(root, path.toString('latin1'));
    if (typeof path === 'string') mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(place, 'content');
  }
}

const listed = (source: string) => ({ source, rules: dataRules([], root, []), where: 'bitarena' });
const list = () => listRoot(shell, listed(root), 10_000);

describe('the list of a data directory', () => {
  test('contains files with their sizes, directories with their modes, and nothing that is not copied', async () => {
    fill(
      'PG_VERSION',
      'base/1/2',
      'pg_wal/000000010000000000000001',
      'pg_replslot/s/state',
      'log/x',
      'postmaster.pid',
    );
    chmodSync(join(root, 'base'), 0o750);
    mkdirSync(join(root, 'pg_twophase'));
    const found = await list();
    expect(found?.files).toHaveLength(2);
    expect(found?.files).toContainEqual({ path: 'base/1/2', size: 7, isLink: false });
    expect(found?.bytes).toBe(14);
    expect(found?.directories).toContainEqual({ path: 'base', mode: 0o750 });
    const directories = found?.directories.map(({ path }) => path) ?? [];
    expect([...directories].sort()).toEqual(['', 'base', 'base/1', 'pg_replslot', 'pg_twophase']);
    expect(directories[0]).toBe('');
  });

  test('contains file names of any bytes', async () => {
    const odd = ['a b', "it's", 'x\\y', 'line\nfeed', '$HOME', '-n', 'tab\t'];
    const latin = Buffer.from([0x66, 0xfc, 0x72]);
    fill(...odd, latin);
    const found = await list();
    const paths = [...odd, latin.toString('latin1')];
    expect(found?.files.map(({ path }) => path).sort()).toEqual([...paths].sort());
    expect(await sizesOnPrimary(shell, root, [...paths, 'gone'])).toEqual([...paths.map(() => 7), undefined]);
  });

  test('takes only a file that does not exist for a removed one', async () => {
    fill('base/1/2');
    expect(await sizesOnPrimary(shell, root, ['base/1/2', 'base/1/3', 'base/1/2/x'])).toEqual([
      7,
      undefined,
      undefined,
    ]);
    expect(await sizesOnPrimary(shell, join(root, 'dropped'), ['1'])).toEqual([undefined]);
    // No file can have this name: the system refuses to look for it, as a failing disk would.
    const unseen = `base/1/${'x'.repeat(300)}`;
    await expect(sizesOnPrimary(shell, root, ['base/1/2', unseen])).rejects.toThrow(
      `cannot determine which files are left in "${root}" on primary`,
    );
    await expect(sizesOnPrimary(shell, join(root, 'base/1/2'), ['1'])).rejects.toThrow('cannot determine');
  });

  test('takes only a root that does not exist for a dropped tablespace', async () => {
    expect(await listRoot(shell, listed(join(root, 'dropped')), 10_000)).toBeUndefined();
    await expect(listRoot(shell, listed(join(root, 'x'.repeat(300))), 10_000)).rejects.toMatchObject({
      message: expect.stringContaining('cannot list the files of') as string,
      detail: expect.stringContaining('File name too long') as string,
    });
  });

  test('follows links to directories, names links to files, and omits those of tablespaces', async () => {
    fill('elsewhere/inner', 'pg_tblspc/16500/PG_15/1');
    symlinkSync(join(root, 'elsewhere'), join(root, 'linked'));
    symlinkSync('PG_VERSION', join(root, 'server.crt'));
    symlinkSync(join(root, 'elsewhere'), join(root, 'pg_tblspc', '16400'));
    const found = await list();
    expect(found?.files.map(({ path, isLink }) => [path, isLink]).sort()).toEqual([
      ['elsewhere/inner', false],
      ['linked/inner', false],
      ['pg_tblspc/16500/PG_15/1', false],
      ['server.crt', true],
    ]);
    expect(found?.links).toEqual([{ path: 'linked', directory: join(root, 'elsewhere') }]);
    const link = `${root} link`;
    symlinkSync(root, link);
    try {
      expect(await listRoot(shell, listed(link), 10_000)).toMatchObject({ source: root });
    } finally {
      rmSync(link);
    }
  });

  // root reads everything.
  test.skipIf(process.getuid?.() === 0)(
    'is refused if it contains an unreadable entry, unless that is not copied',
    async () => {
      fill('base/1/2', 'base/1/3', 'postmaster.pid', 'secret/x');
      for (const path of ['base/1/2', 'postmaster.pid', 'secret']) chmodSync(join(root, path), 0);
      const error = await list().catch((thrown: unknown) => thrown);
      chmodSync(join(root, 'secret'), 0o700);
      expect(error).toBeInstanceOf(PitrError);
      expect(error).toMatchObject({
        exitCode: 4,
        message: '2 files on bitarena cannot be read by postgres',
      });
      const { detail } = error as PitrError;
      expect(detail?.split('\n').sort()).toEqual([`${root}/base/1/2`, `${root}/secret`]);
    },
  );

  test('does not exist for a missing directory', async () => {
    expect(await listRoot(shell, listed(join(root, 'gone')), 10_000)).toBeUndefined();
  });

  test('is refused if a link leads round in a circle', async () => {
    fill('base/1/2');
    symlinkSync('..', join(root, 'base', 'up'));
    await expect(list()).rejects.toThrow(`cannot list the files of "${root}" on bitarena`);
  });
});

test.each([
  ['base/1', `'base/1.'`],
  ['\xfc\n', `"$(printf '%b.' '\\0374\\0012')"`],
])('the shell word for %j protects every byte', (path, word) => {
  expect(dottedWord(path)).toBe(word);
});

describe('the list of a primary that cannot be trusted', () => {
  const said = (...lines: readonly string[]) => {
    const hostile = {
      ...shell,
      run: (_script: string, { onLine }: { readonly onLine?: (line: string) => void }) => {
        [...lines, 'Z 0$'].forEach((line) => onLine?.(line));
        return Promise.resolve({ kind: 'done', status: 0, lines: [] });
      },
    } as unknown as RemoteShell;
    return listRoot(hostile, listed('/primary/data'), 10_000);
  };

  test.each([
    'd 777 0 ../victim$',
    'd 777 0 base/../../victim$',
    'd 777 0 ..$',
    'f 600 1 /etc/passwd$',
    'f 600 1 base//1$',
    'l 777 1 ./base$',
    String.raw`f 600 1 base/..\057..\057victim$`,
    String.raw`d 777 0 base\057..\057..$`,
    'f 600 1 base/$',
  ])('is refused if it names a path outside: %s', async (line) => {
    await expect(said('d 700 0 $', 'd 700 0 base$', line)).rejects.toThrow('names a file outside of it');
  });

  test('applies the real path in one line to the next line only', async () => {
    const found = await said(
      'p 0 0 /real$',
      'd 700 0 $',
      'p 0 0 /elsewhere$',
      'd 700 0 pg_wal$',
      'd 700 0 base$',
      'p 0 0 relative$',
      'd 700 0 global$',
    );
    expect(found).toMatchObject({ source: '/real', links: [] });
  });

  test('is accepted unchanged if all names are inside', async () => {
    const found = await said('d 700 0 $', 'd 700 0 base$', 'f 600 1 base/..x$', 'f 600 1 ...$');
    expect(found?.files.map(({ path }) => path)).toEqual(['base/..x', '...']);
  });
});

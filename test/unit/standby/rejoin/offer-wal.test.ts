import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import type { Host } from '../../../../src/standby/follow/host.ts';
import { offerWal } from '../../../../src/standby/rejoin/offer-wal.ts';
import type { Unsent } from '../../../../src/standby/rejoin/unsent.ts';
import type { DataDirectory } from '../../../../src/standby/server/data-directory.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { storeScript } from '../../../../src/verbs/scripts/offer.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const folder = '.diverged-1';
const segment = (number: number) => `00000001000000000000000${number}`;
const shared: Unsent = { name: segment(4), to: 'archive', isTail: false };
const tail: Unsent = { name: segment(5), to: 'diverged', isTail: true };

/** An archive, and the files that a run has brought into it. */
function arriving(files: Readonly<Record<string, string>>) {
  const archive = temporaryDirectory();
  const parent = join(archive, folder, '.incoming-a');
  const put = (run: string, name: string, content: string) => {
    mkdirSync(join(parent, run), { recursive: true });
    writeFileSync(join(parent, run, name), content);
  };
  for (const [name, content] of Object.entries(files)) put('now', name, content);
  const store = async (...offered: readonly Unsent[]) => {
    const args = ['-c', storeScript({ parent, run: 'now' }, offered)];
    const result = await runCommand({ program: 'sh', args }, { limitMs: 10_000 });
    expect(result).toMatchObject({ kind: 'exited', code: 0, stderr: '' });
    return result.stdout.trim().split('\n');
  };
  const kept = () => {
    const directory = join(archive, folder);
    const names = existsSync(directory) ? readdirSync(directory) : [];
    return Object.fromEntries(names.map((name) => [name, readFileSync(join(directory, name), 'utf8')]));
  };
  return { archive, put, store, kept };
}

describe('WAL that a former primary offers', () => {
  test('comes under its own name, and the tail beside the archive', async () => {
    const { archive, store, kept } = arriving({ [segment(4)]: 'four', [segment(5)]: 'five' });
    expect(await store(shared, tail)).toEqual([`stored ${segment(4)}`, `kept ${segment(5)}.partial`]);
    expect(readFileSync(join(archive, segment(4)), 'utf8')).toBe('four');
    expect(kept()).toEqual({ [`${segment(5)}.partial`]: 'five' });
  });

  test('replaces nothing', async () => {
    const { archive, store, kept } = arriving({ [segment(4)]: 'four' });
    writeFileSync(join(archive, segment(4)), 'other');
    writeFileSync(join(archive, folder, segment(4)), 'another');
    expect(await store(shared)).toEqual([`kept ${segment(4)}.2`]);
    expect(readFileSync(join(archive, segment(4)), 'utf8')).toBe('other');
    expect(kept()).toEqual({ [segment(4)]: 'another', [`${segment(4)}.2`]: 'four' });
  });

  test('of a run that was killed is kept, unless it is there', async () => {
    const { archive, put, store, kept } = arriving({ [segment(4)]: 'four', [segment(5)]: 'five' });
    writeFileSync(join(archive, segment(3)), 'three');
    put('before', segment(3), 'three');
    put('before', segment(4), 'other four');
    put('before', segment(5), 'five');
    put('before', `.${segment(6)}.aBcDeF`, 'half of six');
    await store(shared, tail);
    expect(kept()).toEqual({ [segment(4)]: 'other four', [`${segment(5)}.partial`]: 'five' });
    // All of it was in the archive already: nothing stays.
    const again = arriving({ [segment(4)]: 'four' });
    writeFileSync(join(again.archive, segment(4)), 'four');
    expect(await again.store(shared)).toEqual([`present ${segment(4)}`]);
    expect(readdirSync(again.archive)).toEqual([segment(4)]);
  });
});

test('a transfer that is killed leaves no half file under its name, whatever rsync_flags say', async () => {
  const root = temporaryDirectory();
  const walDirectory = join(root, 'pg_wal');
  const [target, name] = [join(root, 'there'), segment(4)];
  for (const directory of [walDirectory, target]) mkdirSync(directory);
  writeFileSync(join(walDirectory, name), Buffer.alloc(4 * 1024 * 1024, 'x'));
  const run: typeof runCommand = ({ program, args }, options) => {
    // To a directory here, and slowly.
    const local = [...args.slice(0, -1), '--bwlimit=500', `${target}/`];
    return runCommand({ program, args: local }, { ...options, limitMs: 1500 });
  };
  const deps = {
    settings: {
      rsync: { program: 'rsync', args: [] },
      rsync_flags: ['-P', '--inplace'],
      includepath: [],
      ssh_timeout: 9,
    },
    hostName: 'a',
    nonce: () => '1',
    run,
  } as unknown as StandbyDeps;
  const shell = {
    target: { host: 'h', user: 'u', what: 'h' },
    rsyncShell: 'ssh',
    run: () => Promise.resolve({ kind: 'done', status: 0, lines: [] }),
  };
  const host = { shell, facts: { settings: { walSegmentSize: 16 } } } as unknown as Host;
  const here = { pgdata: root, capabilities: { walDirName: 'pg_wal' } } as DataDirectory;
  await expect(offerWal(deps, here, host, '/archive', [shared])).rejects.toThrow('cannot offer WAL');
  expect(readdirSync(target).filter((file) => !file.startsWith('.'))).toEqual([]);
});

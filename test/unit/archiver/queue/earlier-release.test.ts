import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import type { Lane } from '../../../../src/archiver/lane/lane.ts';
import { layoutOf } from '../../../../src/archiver/layout.ts';
import { takeQueues } from '../../../../src/archiver/queue/earlier-release.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { buildWal } from '../../../harness/wal.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const [first, second, third] = [
  '000000010000000000000001',
  '000000010000000000000002',
  '000000010000000000000003',
];
const cluster = { systemIdentifier: '7', timeline: 1, isInRecovery: false };

/** A queue with a plain file and two frames, and a zstd that `zstd` replaces if it is given. */
function site(zstd?: string) {
  const root = temporaryDirectory();
  const layout = layoutOf(join(root, 'l_archive'));
  const queue = join(layout.root, 's1');
  mkdirSync(queue, { recursive: true });
  for (const name of [first, second, third])
    writeFileSync(
      join(queue, name),
      buildWal({ version: '15', systemIdentifier: 7n, name, segmentBytes: 1024 * 1024 }),
    );
  execFileSync('zstd', ['-q', '-1', '--check', '--rm', join(queue, second), join(queue, third)]);
  const bin = join(root, 'bin');
  mkdirSync(bin);
  if (zstd !== undefined) writeFileSync(join(bin, 'zstd'), `#!/bin/sh\n${zstd}\n`, { mode: 0o700 });
  const settings = { includepath: [bin], pgdata: join(root, 'pgdata') };
  const deps = { run: runCommand, settings, layout } as unknown as ArchiverDeps;
  const lane = { queue, name: 's1' } as unknown as Lane;
  return { queue, queued: () => readdirSync(queue).sort(), take: () => takeQueues(deps, [lane], cluster) };
}

describe('a frame whose cluster was not noted', () => {
  test('is taken over if it is good, and set aside if it is damaged', async () => {
    const { queue, queued, take } = site();
    expect(await take()).toEqual([]);
    truncateSync(join(queue, `${third}.zst`), 5000);
    expect(await take()).toEqual([expect.stringContaining(`"${join(queue, `${third}.zst`)}" is damaged: `)]);
    expect(queued()).toEqual([first, `${second}.zst`, `.${third}.zst.unusable`].sort());
  });

  test.each([
    ['zstd cannot be started', 'exit 127'],
    [
      'there is no space to unpack it',
      'case " $* " in *" -t "*) exit 0;; esac; echo "No space left" >&2; exit 1',
    ],
  ])('stays where it is if %s', async (_, zstd) => {
    const { queued, take } = site(zstd);
    const before = queued();
    await expect(take()).rejects.toThrow('cannot be unpacked: zstd: ');
    expect(queued()).toEqual(before);
  });
});

import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Frame } from '../../../../src/archiver/frames/frame.ts';
import { noteQueued } from '../../../../src/archiver/shipper/lane-frames.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { walFile } from '../wal-fixture.ts';

test('of a standby that is away nothing is remembered for each segment that enters its queue', async () => {
  const root = temporaryDirectory();
  const queued = new Map<string, Set<string>>();
  const frame: Frame = { path: join(root, 'frame'), bytes: 1, digest: '', size: 1 };
  const frames = { queued, store: { now: () => frame, noteCopy: () => undefined } };
  const lane = (name: string, acceptsFrames: boolean) =>
    ({ name, queue: join(root, name), acceptsFrames: () => acceptsFrames }) as never;
  for (const number of [1, 2]) {
    const file = await walFile(join(root, 'pg_wal'), `00000001000000000000000${number}`, 'bytes');
    await noteQueued({ frames } as never, lane('away', false), file);
    if (number === 2) await noteQueued({ frames } as never, lane('slow', true), file);
  }
  expect([...queued]).toEqual([['000000010000000000000002', new Set(['slow'])]]);
});

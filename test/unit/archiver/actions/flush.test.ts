import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { reportLane } from '../../../../src/archiver/actions/flush.ts';
import type { Lane } from '../../../../src/archiver/lane/lane.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

type Flushed = Parameters<typeof reportLane>[1]['flushed'];
type End = Extract<Flushed, { kind: 'tried' }>['caughtUp'];

const gap = { first: '000000010000000000000003', last: '000000010000000000000003' };
const conflict = { name: gap.first, reason: 'it is empty' };

async function reported(caughtUp: End, queued?: string) {
  const queue = join(temporaryDirectory(), 's1');
  mkdirSync(queue);
  if (queued !== undefined) writeFileSync(join(queue, queued), '');
  const lines: string[] = [];
  const report = (line: string) => {
    lines.push(line);
  };
  const flushed: Flushed = { kind: 'tried', sent: 2, shipped: new Set(), trouble: undefined, caughtUp };
  const isDone = await reportLane({ report }, { lane: { name: 's1', queue } as Lane, flushed });
  return { isDone, said: lines.join('\n') };
}

test.each<readonly [string, End, boolean]>([
  ['it was not asked', undefined, true],
  ['it has everything', { kind: 'caught-up', sent: 2, lack: { missing: [], conflicts: [] } }, true],
  ['it has no data', { kind: 'no-data', sent: 0 }, true],
  [
    'it lacks what is nowhere here',
    { kind: 'caught-up', sent: 2, lack: { missing: [gap], conflicts: [] } },
    true,
  ],
  ['nobody can ask it', { kind: 'mute', sent: 0, reason: 'no command' }, true],
  ['it still lacks WAL', { kind: 'waits', sent: 2 }, false],
  ['it was asked in vain', { kind: 'unknown', sent: 0, reason: 'its archivedir cannot be relied on' }, false],
  [
    'it holds another file',
    { kind: 'caught-up', sent: 2, lack: { missing: [], conflicts: [conflict] } },
    false,
  ],
  [
    'it lacks what could not be read here',
    { kind: 'caught-up', sent: 2, lack: { missing: [gap], conflicts: [], unread: 'bad block' } },
    false,
  ],
])('--flush is done with a standby whose queue is empty, or not: %s', async (_, end, isDone) => {
  const result = await reported(end);
  expect(result.isDone).toBe(isDone);
  expect(result.said).toContain('2 files sent, its queue is empty');
});

test('--flush is not done with a standby whose queue is not empty', async () => {
  expect(await reported({ kind: 'no-data', sent: 0 }, gap.first)).toMatchObject({ isDone: false });
});

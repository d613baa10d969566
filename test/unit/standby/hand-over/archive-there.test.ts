import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { archiveObjections } from '../../../../src/standby/hand-over/archive-there.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const ours = '7000000000000000001';

/** An archivedir that is also l_archivedir, as in the how-to, with a queue in it. */
function objectionsTo(names: readonly string[], pinned?: string) {
  const archivedir = join(temporaryDirectory(), 'archive');
  mkdirSync(join(archivedir, 'beta'), { recursive: true });
  for (const name of names) writeFileSync(join(archivedir, name), '');
  if (pinned !== undefined) {
    mkdirSync(join(archivedir, '.archiver'));
    writeFileSync(join(archivedir, '.archiver', 'system_identifier'), `${pinned}\n`);
  }
  return archiveObjections({ settings: { archivedir } } as unknown as StandbyDeps, ours, false);
}

test('a primary whose archivedir has only its own queues can become a standby', async () => {
  expect(await objectionsTo([], ours)).toEqual([]);
  expect(await objectionsTo(['.cmd_standby.lock'], ours)).toEqual([]);
});

test.each([
  ['queues of another cluster', [], '1'],
  ['something that nobody has pinned', [], undefined],
  ['WAL', ['000000010000000000000001'], ours],
])('it cannot with %s in it, and nothing advises to empty it', async (_, names, pinned) => {
  const [objection, ...more] = await objectionsTo(names, pinned);
  expect(objection?.message).toContain('has no .pitrtools and is not empty');
  expect(objection?.hint).not.toMatch(/empty it/i);
  expect(more).toEqual([]);
});

import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { archiveToMake } from '../../../../src/standby/follow/new-archive.ts';
import type { DataDirectory } from '../../../../src/standby/server/data-directory.ts';
import { removeTree } from '../../../harness/remove-tree.ts';

const ours = '7000000000000000001';

function made(names: readonly string[], pinned?: string) {
  const root = mkdtempSync(join(tmpdir(), 'new-archive-'));
  onTestFinished(() => {
    removeTree(root);
  });
  const archivedir = join(root, 'archive');
  mkdirSync(join(archivedir, 'beta'), { recursive: true });
  for (const name of names) writeFileSync(join(archivedir, name), '');
  if (pinned !== undefined) {
    mkdirSync(join(archivedir, '.archiver'));
    writeFileSync(join(archivedir, '.archiver', 'system_identifier'), `${pinned}\n`);
  }
  const deps = { settings: { archivedir }, hostName: 'alpha', iniFile: '/etc/cmd_standby.ini' };
  const directory = { pgdata: join(root, 'pgdata'), control: { systemIdentifier: ours } };
  return archiveToMake(deps as unknown as StandbyDeps, directory as DataDirectory);
}

test('l_archivedir of the same cluster may become the archive of a former primary', async () => {
  expect(await made([], ours)).toMatchObject({ files: [], sentinel: { systemIdentifier: ours } });
});

test.each([
  ['of another cluster', [], '1'],
  ['that is not initialized, or not mounted', [], undefined],
  ['that is an archive already', ['.pitrtools'], ours],
  ['with WAL in it', ['000000010000000000000001'], ours],
])('a directory %s must not', async (_, names, pinned) => {
  expect(await made(names, pinned)).toBeUndefined();
});

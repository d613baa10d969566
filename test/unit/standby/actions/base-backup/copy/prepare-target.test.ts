import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { BackupContext, BackupRun } from '../../../../../../src/standby/actions/base-backup/context.ts';
import {
  planOf,
  type CopyRoot,
} from '../../../../../../src/standby/actions/base-backup/copy/planned-files.ts';
import { prepareTargets } from '../../../../../../src/standby/actions/base-backup/copy/prepare-target.ts';
import { temporaryDirectory } from '../../../../system/temporary.ts';

test('a directory that cannot be used is found out before anything is removed', async () => {
  const directory = temporaryDirectory();
  const [pgdata, space] = [join(directory, 'main'), join(directory, 'space')];
  mkdirSync(pgdata);
  for (const path of [join(pgdata, 'old'), space]) writeFileSync(path, '');
  const root = (target: string): CopyRoot => {
    return { kind: 'data', name: '', source: '', target, directories: [], files: [], links: [], bytes: 0 };
  };
  const local = { superfluous: ['old'], unwritable: [], presentBytes: 0, neededBytes: 0 };
  const run: BackupRun = {
    isBackupActive: true,
    isCopyBegun: false,
    beganMs: 0,
    plan: planOf([root(pgdata), root(space)]),
    local: [local, local],
  };
  const deps = { signal: new AbortController().signal };
  const context = { deps, run } as unknown as BackupContext;
  await expect(prepareTargets(context, 'contents')).rejects.toThrow(`cannot make directory "${space}"`);
  expect([run.isCopyBegun, existsSync(join(pgdata, 'old'))]).toEqual([false, true]);
});

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { SurveyedRoot } from '../../../../../../src/standby/actions/base-backup/copy/planned-files.ts';
import { planOf } from '../../../../../../src/standby/actions/base-backup/copy/planned-files.ts';
import type { BackupRun } from '../../../../../../src/standby/actions/base-backup/results.ts';
import { backupSteps } from '../../../../../../src/standby/actions/base-backup/steps.ts';
import { temporaryDirectory } from '../../../../system/temporary.ts';

test('a directory that cannot be used is reported before anything is removed', async () => {
  const directory = temporaryDirectory();
  const [pgdata, space] = [join(directory, 'main'), join(directory, 'space')];
  mkdirSync(pgdata);
  for (const path of [join(pgdata, 'old'), space]) writeFileSync(path, '');
  const here = { superfluous: ['old'], unwritable: [], recent: [], presentBytes: 0, neededBytes: 0 };
  const root = (target: string): SurveyedRoot => {
    return {
      kind: 'data',
      name: '',
      source: '',
      target,
      directories: [],
      files: [],
      links: [],
      bytes: 0,
      here,
    };
  };
  const run = {
    deps: { signal: new AbortController().signal },
    state: { onPrimary: 'active', isCopyBegun: false },
    results: { 'plan-copy': planOf([root(pgdata), root(space)]) },
  } as unknown as BackupRun;
  const { run: prepare } = backupSteps['prepare-targets'];
  await expect(prepare(run, { kind: 'prepare-targets' })).rejects.toThrow(`cannot make directory "${space}"`);
  expect([run.state.isCopyBegun, existsSync(join(pgdata, 'old'))]).toEqual([false, true]);
});

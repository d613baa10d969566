import { accessSync, constants, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { BackupContext } from '../../../../../../src/standby/actions/base-backup/context.ts';
import type { SurveyedRoot } from '../../../../../../src/standby/actions/base-backup/copy/planned-files.ts';
import { planOf } from '../../../../../../src/standby/actions/base-backup/copy/planned-files.ts';
import { prepareTargets } from '../../../../../../src/standby/actions/base-backup/copy/prepare-target.ts';
import type { BackupRun } from '../../../../../../src/standby/actions/base-backup/results.ts';
import { backupSteps } from '../../../../../../src/standby/actions/base-backup/steps.ts';
import { systemErrorCode } from '../../../../../../src/system/durable.ts';
import { temporaryDirectory } from '../../../../system/temporary.ts';

const context = { deps: { signal: new AbortController().signal } } as unknown as BackupContext;

function rootAt(target: string, found: Partial<SurveyedRoot['here']>): SurveyedRoot {
  const here = { superfluous: [], unwritable: [], recent: [], presentBytes: 0, neededBytes: 0, ...found };
  const none = { name: '', source: '', directories: [], files: [], links: [], bytes: 0 };
  return { kind: 'data', target, here, ...none };
}

test('a directory that cannot be used is reported before anything is removed', async () => {
  const directory = temporaryDirectory();
  const [pgdata, space] = [join(directory, 'main'), join(directory, 'space')];
  mkdirSync(pgdata);
  for (const path of [join(pgdata, 'old'), space]) writeFileSync(path, '');
  const roots = [pgdata, space].map((target) => rootAt(target, { superfluous: ['old'] }));
  const run = {
    ...context,
    state: { onPrimary: 'active', isCopyBegun: false },
    results: { 'plan-copy': planOf(roots) },
  } as unknown as BackupRun;
  const { run: prepare } = backupSteps['prepare-targets'];
  await expect(prepare(run, { kind: 'prepare-targets' })).rejects.toThrow(`cannot make directory "${space}"`);
  expect([run.state.isCopyBegun, existsSync(join(pgdata, 'old'))]).toEqual([false, true]);
});

test('a file that is gone meanwhile has no time to distrust', async () => {
  const target = temporaryDirectory();
  writeFileSync(join(target, 'later'), '');
  await prepareTargets(context, [rootAt(target, { recent: ['gone', 'later'] })]);
  expect(statSync(join(target, 'later')).mtimeMs).toBe(500);
});

/** Where it can be read only by a mount, changing it fails for another reason. */
function isOthers(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return false;
  } catch (error) {
    return systemErrorCode(error) === 'EACCES';
  }
}

test.runIf(isOthers('/etc/passwd'))(
  "the time of another user's file is left, and ends no base backup",
  async () => {
    const before = statSync('/etc/passwd').mtimeMs;
    await prepareTargets(context, [rootAt('/etc', { recent: ['passwd'] })]);
    expect(statSync('/etc/passwd').mtimeMs).toBe(before);
  },
);

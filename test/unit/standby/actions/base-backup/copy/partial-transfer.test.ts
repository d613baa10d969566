import { expect, test } from 'vitest';
import type { BackupContext } from '../../../../../../src/standby/actions/base-backup/context.ts';
import type { FileGroup } from '../../../../../../src/standby/actions/base-backup/copy/groups.ts';
import { findLost } from '../../../../../../src/standby/actions/base-backup/copy/partial-transfer.ts';
import type { CommandResult } from '../../../../../../src/system/command.ts';

const group = { root: { source: '/data', target: '/standby' }, files: [], bytes: 0 } as unknown as FileGroup;

/** A primary that has no file any more. */
const shell = {
  target: { host: 'alpha' },
  served: { side: 'data' },
  run: () => Promise.resolve({ kind: 'done', status: 0, lines: [] }),
};

/** rsync ended with 23 and said this. */
function lostBy(...lines: readonly string[]): Promise<readonly string[]> {
  const result = {
    kind: 'exited',
    code: 23,
    stdout: '',
    stderr: lines.join('\n'),
  } as unknown as CommandResult;
  return findLost({ primary: { shell } } as unknown as BackupContext, group, result);
}

test('a file that was removed from the module of the primary is not lost', async () => {
  expect(
    await lostBy(
      'rsync: [sender] link_stat "/base/1/2" (in at-0123456789abcdef) failed: No such file or directory (2)',
    ),
  ).toEqual([]);
});

test('a file that could not be written on this host is lost, whatever the primary has', async () => {
  // As rsync 3.5.0 prints it, beside a daemon too.
  const line = 'rsync: [receiver] open "/standby/base/1/2" failed: Permission denied (13)';
  expect(await lostBy(line)).toEqual(['/standby/base/1/2']);
});

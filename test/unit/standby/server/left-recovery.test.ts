import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hasLeftRecovery } from '../../../../src/standby/server/data-directory.ts';
import { controlIn } from '../../postgres/fixtures/changed-control.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

test.each([
  ['in-production', true],
  ['in-archive-recovery', false],
  ['shut-down-in-recovery', false],
] as const)('a server that was last %s has left recovery: %s', async (state, expected) => {
  const pgdata = temporaryDirectory();
  expect(await hasLeftRecovery(pgdata)).toBe(false);
  mkdirSync(join(pgdata, 'global'));
  writeFileSync(join(pgdata, 'global', 'pg_control'), controlIn(state));
  expect(await hasLeftRecovery(pgdata)).toBe(expected);
  writeFileSync(join(pgdata, 'backup_label'), '');
  expect(await hasLeftRecovery(pgdata)).toBe(false);
});

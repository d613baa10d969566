import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runStep } from '../../../src/setup/steps.ts';
import { temporaryDirectory } from '../system/temporary.ts';

test('lines at the top of pg_hba.conf leave its other bytes as they are, in whatever encoding', async () => {
  const path = join(temporaryDirectory(), 'pg_hba.conf');
  const before = Buffer.from('# für Jürgen\nlocal all all peer\n', 'latin1');
  writeFileSync(path, before);
  chmodSync(path, 0o640);
  await runStep({} as never, {} as never, { kind: 'write-hba', path, lines: ['host a'] });
  const after = readFileSync(path);
  expect(after.subarray(-before.length)).toEqual(before);
  expect(after.toString('latin1')).toMatch(/^# pitrtools .*\nhost a\n/);
  expect(statSync(path).mode & 0o777).toBe(0o640);
});

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readReadyFiles } from '../../../../src/archiver/wal/ready-files.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

test('a segment that cannot be read is a problem of its own', async () => {
  const pgdata = temporaryDirectory();
  const status = join(pgdata, 'pg_wal', 'archive_status');
  mkdirSync(status, { recursive: true });
  writeFileSync(join(pgdata, 'pg_wal', '00000002.history'), 'x');
  // Its content cannot be read, like that of a file on a bad block.
  mkdirSync(join(pgdata, 'pg_wal', '000000010000000000000001'));
  for (const name of ['00000002.history', '000000010000000000000001'])
    writeFileSync(join(status, `${name}.ready`), '');
  const cluster = { systemIdentifier: '42', timeline: 1, isInRecovery: false };
  expect(await readReadyFiles(pgdata, cluster)).toMatchObject({
    kind: 'stopped',
    names: [{ text: '00000002.history' }],
    problems: [expect.stringContaining('cannot read')],
  });
});

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { askRsync } from '../../../src/check/here.ts';
import { runCommand } from '../../../src/system/command.ts';
import { temporaryDirectory } from '../system/temporary.ts';

test('rsync is asked for its version where includepath has it', async () => {
  const directory = temporaryDirectory();
  const name = 'rsync-of-this-test';
  writeFileSync(join(directory, name), '#!/bin/sh\necho "rsync  version 3.9.9 $*"\n', { mode: 0o700 });
  const rsync = { program: name, args: ['-4'] };
  expect(await askRsync(runCommand, rsync, [directory])).toBe('rsync  version 3.9.9 -4 --version');
  expect(await askRsync(runCommand, rsync, [])).toBe('');
});

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { mayMount, withMounts } from '../harness/own-mounts.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { run } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import { backupPair } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

test.override({ major: failureMajors().at(-1) ?? 15 });

test('-B flushes a file system that is mounted inside the data directory', async ({ world, skip }) => {
  if (!(await mayMount())) skip('no user namespaces here');
  const { standby } = await backupPair(world);
  const { host, pgdata, iniFile } = standby;
  const [disk, programs, flushed] = ['disk', 'programs', 'flushed'].map((name) => join(host.directory, name));
  if (disk === undefined || programs === undefined || flushed === undefined) throw new Error('no names');
  const base = join(pgdata, 'base');
  for (const action of ['-I', '-B']) expectExit(await world.cmdStandby(standby, [action]), 0);
  for (const directory of [disk, programs]) mkdirSync(directory, { mode: 0o700 });
  const sync = `#!/bin/sh\nprintf '%s\\n' "$@" >>'${flushed}'\nexec /usr/bin/sync "$@"\n`;
  writeFileSync(join(programs, 'sync'), sync, { mode: 0o700 });
  const command = [checkout('bin', 'cmd_standby'), '-C', iniFile, '-B'];
  const env = { ...host.env, PATH: `${programs}:${host.env['PATH'] ?? ''}` };
  expectExit(await run(...withMounts([[disk, base]], command), { env, cwd: host.directory }), 0);
  expect(readFileSync(flushed, 'utf8').split('\n')).toContain(base);
});

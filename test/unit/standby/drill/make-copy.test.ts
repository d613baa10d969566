import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { copyWal } from '../../../../src/standby/drill/make-copy.ts';
import type { Origin } from '../../../../src/standby/drill/origin.ts';
import { systemClock } from '../../../../src/system/clock.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { dataDirectory } from '../standby-facts.ts';

test('the history of a timeline that was streamed and not archived yet is copied with the WAL', async () => {
  const [pgdata, archivedir, copy] = [temporaryDirectory(), temporaryDirectory(), temporaryDirectory()];
  mkdirSync(join(pgdata, 'pg_wal'));
  for (const timeline of [2, 3])
    writeFileSync(join(pgdata, 'pg_wal', `0000000${timeline}.history`), '1\t0/6000100\tx\n');
  writeFileSync(join(archivedir, '.pitrtools'), 'system_identifier: 1\nstandby: s1\n');
  writeFileSync(join(archivedir, '00000002.history'), '1\t0/6000100\tx\n');
  const directory = dataDirectory('15', { pgdata });
  const origin = {
    server: { pgdata, capabilities: directory.capabilities },
    directory,
    archive: { directory: archivedir },
  } as unknown as Origin;
  const { signal } = new AbortController();
  const settings = { drill_nice: 0, drill_ionice: 'off', drill_time: 60 };
  const deps = { ...systemClock(), settings, run: runCommand, signal } as unknown as StandbyDeps;
  await copyWal(deps, origin, { pgdata: copy }, true);
  expect(readdirSync(join(copy, 'pg_wal')).sort()).toEqual(['00000003.history', 'archive_status']);
});

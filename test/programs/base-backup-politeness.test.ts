import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { type ProcessEntry, processesOf } from '../harness/process-table.ts';
import { mustRun } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { backupPair } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

interface Rsyncs {
  /** On the standby. */
  readonly here: readonly ProcessEntry[];
  /** On the primary. */
  readonly there: readonly ProcessEntry[];
}

function rsyncs({ directory }: World, pgdata: string): Rsyncs {
  const all = processesOf(directory).filter(({ commandLine }) => /^(\S*\/)?rsync /.test(commandLine));
  return {
    here: all.filter(({ commandLine }) => commandLine.endsWith(` ${pgdata}/`)),
    there: all.filter(({ commandLine }) => commandLine.includes(' --server --sender ')),
  };
}

describe.each(failureMajors())('a base backup of PostgreSQL %i with low priority', (major) => {
  test.override({ major });

  test('basebackup_nice and basebackup_ionice apply on both hosts, and all workers together keep to basebackup_bwlimit', async ({
    world,
  }) => {
    const ini = {
      rsync_threads: 2,
      basebackup_bwlimit: 3000,
      basebackup_nice: 7,
      basebackup_ionice: 'idle',
    };
    const { primary, standby } = await backupPair(world, { ini });
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    // Nothing else is as large, so that the two are in portions of their own.
    for (const name of ['aaa', 'bbb'])
      writeFileSync(join(primary.pgdata, name), randomBytes(100 * 1024 * 1024));
    const running = world.startStandby(standby, ['-B']);
    const both = await eventually(
      () => {
        const found = rsyncs(world, standby.pgdata);
        // A receiver beside each generator: the copy has begun.
        return found.here.length === 4 && found.there.length === 2 ? found : undefined;
      },
      { what: 'two rsync at each end' },
    );
    for (const { pid } of [...both.here, ...both.there]) {
      expect(getPriority(pid)).toBe(getPriority() + 7);
      expect(await mustRun('ionice', ['-p', String(pid)])).toMatch(/^idle/);
    }
    for (const { commandLine } of both.here) expect(commandLine).toContain(' --bwlimit=1500 ');
    running.signal('SIGTERM');
    expectExit(await running.finished, 6);
  });
});

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { test } from '../harness/test.ts';
import { archivedFiles, prepareArchive } from './archiver-cluster.ts';
import { systemIdentifierOf } from './shipper-kit.ts';

/** Ends one segment after another until it is stopped. */
function writeBusily(primary: Primary): { names: string[]; stop: () => Promise<void> } {
  const names: string[] = [];
  const state = { isOver: false };
  const writing = (async () => {
    while (!state.isOver) {
      await primary.sql('INSERT INTO t SELECT generate_series(1, 1000)');
      names.push(await primary.switchWal());
    }
  })();
  return {
    names,
    stop: async () => {
      state.isOver = true;
      await writing;
    },
  };
}

describe.each(failureMajors())('state: offline while PostgreSQL %i writes WAL', (major) => {
  test.override({ major });

  test('acknowledges nothing from the next call on, and loses nothing after the state is online again', async ({
    world,
  }) => {
    const slaves = ['s1', 's2'];
    const primary = await world.startPrimary({ slaves, ...(major < 11 ? {} : { walSegmentMb: 1 }) });
    const hosts = [await world.host('s1'), await world.host('s2')];
    for (const host of hosts) prepareArchive(host, await systemIdentifierOf(primary));
    expect(await world.cmdArchiver(primary, ['-I'])).toMatchObject({ code: 0 });
    await primary.sql('CREATE TABLE t (n int)');
    const writer = writeBusily(primary);
    await eventually(async () => (await primary.archiver()).archived >= 10, { what: 'a busy run' });

    const { failed } = await primary.archiver();
    primary.writeIni({ state: 'offline' });
    // PostgreSQL's calls come one after another: once one was refused, all that come are later than the change.
    await eventually(async () => (await primary.archiver()).failed > failed, { what: 'a refused call' });
    const { archived, failed: refused } = await primary.archiver();
    await eventually(() => !existsSync(join(primary.lArchiveDir, '.archiver', 'stamp')));
    // What was in hand at that moment may still arrive; what PostgreSQL makes from now on may not.
    const from = writer.names.length;
    await eventually(
      async () => writer.names.length >= from + 10 && (await primary.archiver()).failed > refused,
    );
    expect((await primary.archiver()).archived).toBe(archived);
    const later = writer.names.slice(from + 1);
    for (const host of hosts) expect(archivedFiles(host).filter((name) => later.includes(name))).toEqual([]);
    for (const name of slaves) expect(primary.queue(name).filter((one) => later.includes(one))).toEqual([]);

    primary.writeIni({ state: 'online' });
    await writer.stop();
    const last = await primary.switchWal();
    await primary.archived(last, 120_000);
    for (const host of hosts) {
      await eventually(() => [...writer.names, last].every((name) => archivedFiles(host).includes(name)), {
        limitMs: 120_000,
        what: `all segments at ${host.name}`,
      });
    }
  });
});

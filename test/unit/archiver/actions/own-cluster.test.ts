import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { observeCondition } from '../../../../src/archiver/actions/may-start/own-cluster.ts';
import { controlFormats } from '../../../../src/postgres/control-formats.ts';
import { realServers } from '../../postgres/fixtures/build.ts';
import { changedControl } from '../../postgres/fixtures/changed-control.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

function pgdataWith(major: string, control: Uint8Array): string {
  const pgdata = temporaryDirectory();
  for (const name of ['global', 'pg_wal']) mkdirSync(join(pgdata, name));
  writeFileSync(join(pgdata, 'PG_VERSION'), `${major}\n`);
  writeFileSync(join(pgdata, 'global', 'pg_control'), control);
  return pgdata;
}

/** As a promotion leaves it until the first checkpoint: the last one is of the old timeline. */
function promotedControl(control: Uint8Array, timeline: number): Buffer {
  return changedControl(control, (bytes) => {
    const format = controlFormats.get(bytes.readUInt32LE(8));
    if (format?.progress === undefined) throw new Error('a version without these fields');
    const redo = 24 + (format.hasPriorCheckpoint ? 24 : 16);
    bytes.writeUInt32LE(timeline, redo + format.progress.minRecoveryLsn + 8);
  });
}

describe.each(realServers())('a cluster of PostgreSQL %s', (major, { control }) => {
  test('continues on the timeline of its last checkpoint, or of the promotion after it', async () => {
    expect(await observeCondition(pgdataWith(major, control))).toMatchObject({
      kind: 'primary',
      cluster: { timeline: 1, begin: undefined },
    });
    const promoted = pgdataWith(major, promotedControl(control, 2));
    writeFileSync(
      join(promoted, 'pg_wal', '00000002.history'),
      '1\t0/3000110\tno recovery target specified\n',
    );
    expect(await observeCondition(promoted)).toMatchObject({
      kind: 'primary',
      cluster: { timeline: 2, begin: 0x3000110n },
    });
  });

  test('recovers by the file of its own version only', async () => {
    const pgdata = pgdataWith(major, control);
    const isOld = Number(major) < 12;
    writeFileSync(join(pgdata, isOld ? 'standby.signal' : 'recovery.conf'), '');
    expect((await observeCondition(pgdata)).kind).toBe('primary');
    writeFileSync(join(pgdata, isOld ? 'recovery.conf' : 'recovery.signal'), '');
    expect((await observeCondition(pgdata)).kind).toBe('harmless');
  });
});

test('a base backup of ours without settings is an unstarted copy, and anything else is not', async () => {
  const [[major, { control }] = ['', { control: new Uint8Array() }]] = realServers();
  const pgdata = pgdataWith(major, control);
  const kindWith = async (record: unknown) => {
    writeFileSync(join(pgdata, 'pitrtools.json'), JSON.stringify(record));
    return (await observeCondition(pgdata)).kind;
  };
  expect(await kindWith({ backup: {} })).toBe('primary');
  writeFileSync(join(pgdata, 'backup_label'), '');
  expect(await kindWith({ backup: {} })).toBe('unstarted-copy');
  expect(await kindWith({ backup: {}, settings: {} })).toBe('primary');
  expect(await kindWith({ backup: {}, promotedAtTimeline: 2 })).toBe('primary');
  expect(await kindWith('no record')).toBe('primary');
  rmSync(join(pgdata, 'global'), { recursive: true });
  expect((await observeCondition(pgdata)).kind).toBe('harmless');
});

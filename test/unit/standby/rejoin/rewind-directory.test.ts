import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';
import {
  mountedHere,
  moveBack,
  moveBackIncomplete,
  moveIn,
  notePhase,
  removeCopiedSlots,
  rewindDirectory,
  rewindPhase,
} from '../../../../src/standby/rejoin/rewind-directory.ts';
import { rename } from '../../../../src/system/files.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const own = [
  'log',
  'pg_hba.conf',
  'pg_hba.conf.before',
  'pg_ident.conf',
  'pg_log',
  'pitrtools.json',
  'postgresql.conf',
  'server.key',
];
const theirs = ['PG_VERSION', 'base', 'global', 'pg_wal', 'pg_xact'];

function cluster(): string {
  const pgdata = temporaryDirectory();
  for (const name of [...own, 'PG_VERSION']) writeFileSync(join(pgdata, name), name);
  for (const name of theirs.slice(1)) mkdirSync(join(pgdata, name));
  writeFileSync(join(pgdata, 'global', 'pg_control'), 'x');
  return pgdata;
}

const listed = (directory: string) => readdirSync(directory).sort();

describe('the directory of a rewind', () => {
  test("has the cluster's files, and pgdata keeps the site's own", async () => {
    const pgdata = cluster();
    expect(await rewindPhase(pgdata)).toBeUndefined();
    await moveIn(pgdata);
    expect(await rewindPhase(pgdata)).toBe('moving');
    expect(listed(rewindDirectory(pgdata))).toEqual(theirs);
    expect(listed(pgdata)).toEqual([...own, 'pitrtools-rewind-phase', 'pitrtools-rewinding'].sort());

    // pg_rewind brings what the other host has.
    for (const name of ['postgresql.conf', 'server.key', 'backup_label'])
      writeFileSync(join(rewindDirectory(pgdata), name), 'other');
    await notePhase(pgdata, 'rewound');
    expect(await rewindPhase(pgdata)).toBe('rewound');
    await moveBack(pgdata);
    expect(listed(pgdata)).toEqual([...own, ...theirs, 'backup_label'].sort());
    expect(await rewindPhase(pgdata)).toBeUndefined();
  });

  test('gets no files under a server that was started meanwhile', async () => {
    const pgdata = cluster();
    const server = spawn('sleep', ['60'], { cwd: pgdata });
    try {
      writeFileSync(join(pgdata, 'postmaster.pid'), `${server.pid ?? 0}\n${pgdata}\n`);
      const before = listed(pgdata);
      await expect(moveIn(pgdata)).rejects.toThrow('was started');
      expect(listed(pgdata)).toEqual(before);
      expect(await rewindPhase(pgdata)).toBeUndefined();
    } finally {
      server.kill();
    }
  });

  test('keeps no file if one of them cannot be moved', async () => {
    const pgdata = cluster();
    const before = listed(pgdata);
    const move: typeof rename = (from, to) =>
      from === join(pgdata, 'pg_wal') ? Promise.reject(new Error('EBUSY')) : rename(from, to);
    await expect(moveIn(pgdata, move)).rejects.toThrow('EBUSY');
    expect(listed(pgdata)).toEqual(before);
    expect(await rewindPhase(pgdata)).toBeUndefined();
  });

  test('is not made where another file system is mounted', async () => {
    const pgdata = cluster();
    const point = join(pgdata, 'pg_wal');
    const mounts = ['/proc', point, `${point}/deeper`, '/x/pg_wal'];
    expect(await mountedHere(pgdata, () => Promise.resolve(mounts))).toEqual(['pg_wal']);
  });

  test('is taken up where the move back was interrupted', async () => {
    const pgdata = cluster();
    await moveIn(pgdata);
    await notePhase(pgdata, 'rewound');
    mkdirSync(join(pgdata, 'pg_stat'));
    await moveBack(pgdata);
    expect(existsSync(join(pgdata, 'PG_VERSION'))).toBe(true);
  });

  test('is taken up where it was only to be removed', async () => {
    const pgdata = cluster();
    await moveIn(pgdata);
    await notePhase(pgdata, 'rewound');
    expect(await rewindPhase(pgdata)).toBe('rewound');
    for (const name of theirs) renameSync(join(rewindDirectory(pgdata), name), join(pgdata, name));
    writeFileSync(join(rewindDirectory(pgdata), 'postgresql.conf'), 'other');
    expect(await rewindPhase(pgdata)).toBe('returned');
    await moveBack(pgdata);
    expect(listed(pgdata)).toEqual([...own, ...theirs].sort());
  });

  test('leaves nothing that can start after a half rewind', async () => {
    const pgdata = cluster();
    await moveIn(pgdata);
    await notePhase(pgdata, 'rewinding');
    await moveBackIncomplete(pgdata);
    expect(listed(join(pgdata, 'global'))).toEqual(['pg_control.pitrtools']);
    expect(existsSync(join(pgdata, 'PG_VERSION'))).toBe(true);
  });

  test('keeps no slot that pg_rewind up to 10 has copied from the other server', async () => {
    const slots = ['pitrtools_for_c_0123456789ab', 'theirs'];
    const rewound = async (major: string) => {
      const pgdata = cluster();
      await moveIn(pgdata);
      const directory = join(rewindDirectory(pgdata), 'pg_replslot');
      for (const name of slots) mkdirSync(join(directory, name, 'snap'), { recursive: true });
      const removed = await removeCopiedSlots(pgdata, capabilitiesOf(parseVersion(major)));
      return { removed, left: listed(directory) };
    };
    expect(await rewound('10')).toEqual({ removed: slots, left: [] });
    expect(await rewound('11')).toEqual({ removed: [], left: slots });
  });
});

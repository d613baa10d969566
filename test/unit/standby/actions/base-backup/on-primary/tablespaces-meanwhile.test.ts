import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { BackupContext } from '../../../../../../src/standby/actions/base-backup/context.ts';
import {
  findNew,
  refuseNewInMap,
  refuseNewReceived,
  requireDropped,
} from '../../../../../../src/standby/actions/base-backup/on-primary/tablespaces-meanwhile.ts';
import { temporaryDirectory } from '../../../../system/temporary.ts';
import { backupFacts, localPlace, primaryFacts } from '../facts-kit.ts';

const fast = { oid: '16400', name: 'fast', location: '/disk/fast' };
const late = { oid: '16401', name: 'late', location: '/disk/late' };
const rowOf = ({ oid, name, location }: typeof fast): readonly string[] => [oid, name, location];

const made: string[] = [];
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true });
});

/** A backup that knows one tablespace, of a primary that has those now. */
function contextWith(now: readonly (typeof fast)[], pgdata = '/standby/main'): BackupContext {
  const facts = backupFacts({
    primary: { ...primaryFacts(), tablespaces: [fast] },
    place: localPlace({ pgdata }),
  });
  const query = () => Promise.resolve(now.map(rowOf));
  return { facts, primary: { query, queryAside: query } } as unknown as BackupContext;
}

/** A pgdata into which pg_basebackup has received links with these names. */
function receivedWith(...oids: readonly string[]): string {
  const pgdata = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
  made.push(pgdata);
  const links = join(pgdata, '.pitrtools-receiving', 'pg_tblspc');
  mkdirSync(links, { recursive: true });
  for (const oid of oids) symlinkSync('/somewhere', join(links, oid));
  return pgdata;
}

test('a tablespace is new if it was made or moved, not if it was dropped', () => {
  expect(findNew([fast], [fast])).toEqual([]);
  expect(findNew([fast], [])).toEqual([]);
  expect(findNew([fast], [fast, late])).toEqual([late]);
  expect(findNew([fast], [{ ...fast, location: '/elsewhere' }])).toHaveLength(1);
});

test('a tablespace that is in the map and not in the plan fails the backup, but a stale link in the map does not', async () => {
  const map = '16400 /disk/fast\n16401 /disk/late\n';
  await expect(refuseNewInMap(contextWith([fast, late]), map)).rejects.toThrow(
    'tablespace "late" was made or moved meanwhile: run -B again',
  );
  await refuseNewInMap(contextWith([fast]), map);
  await refuseNewInMap(contextWith([fast, late]), undefined);
});

test('a tablespace that only pg_basebackup received fails the backup, but one that was made later does not', async () => {
  const context = contextWith([fast, late], receivedWith('16400', '16401'));
  await expect(refuseNewReceived(context)).rejects.toThrow('tablespace "late" was made or moved meanwhile');
  await refuseNewReceived(contextWith([fast, late], receivedWith('16400')));
  await refuseNewReceived(contextWith([fast], receivedWith('16400', '16401')));
});

test('the files of such a tablespace are removed, because the next run would take them for those of another cluster', async () => {
  const pgdata = receivedWith('16400');
  const target = temporaryDirectory();
  mkdirSync(join(target, 'PG_15_202209061', '5'), { recursive: true });
  mkdirSync(join(target, 'PG_14_202107181'));
  symlinkSync(target, join(pgdata, '.pitrtools-receiving', 'pg_tblspc', '16401'));
  await expect(refuseNewReceived(contextWith([fast, late], pgdata))).rejects.toThrow('run -B again');
  expect(readdirSync(target)).toEqual(['PG_14_202107181']);
});

test('a tablespace whose directory was not found must be dropped on the primary', async () => {
  await expect(
    requireDropped(contextWith([late]), fast, '"/disk/fast" on the primary'),
  ).resolves.toBeUndefined();
  await expect(requireDropped(contextWith([fast]), fast, '"/disk/fast" on the primary')).rejects.toThrow(
    'there is no "/disk/fast" on the primary, where the files of tablespace "fast" should be',
  );
});

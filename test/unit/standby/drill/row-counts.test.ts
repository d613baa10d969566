import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { compareCounts, countRows, type Counts } from '../../../../src/standby/drill/row-counts.ts';
import { serverOf } from '../../../../src/standby/server/server.ts';
import type { LocalSql, WithLocalSql } from '../../../../src/system/local-sql.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const counts = (a: string, b?: string): Counts => ({
  before: 700,
  tables: new Map([['public.a', a], ...(b === undefined ? [] : [['public.b', b] as const])]),
});

test('tables that stayed the same on the standby must be the same in the copy', () => {
  expect(compareCounts(counts('1', '2'), counts('1', '2'), counts('1', '2'))).toMatchObject({
    result: 'passed',
    detail: '2 tables have as many rows as on the standby',
  });
  expect(compareCounts(counts('1', '2'), counts('1'), counts('1', '2'))).toMatchObject({
    result: 'failed',
    detail: 'public.b has 2 rows on the standby, and ? in the copy',
  });
});

test('a table that changed meanwhile is not judged', () => {
  expect(compareCounts(counts('1', '2'), counts('1', '9'), counts('1', '3'))).toMatchObject({
    result: 'passed',
    detail:
      '1 tables have as many rows as on the standby; 1 others changed meanwhile, or were not counted in time',
  });
  expect(compareCounts(counts('1'), counts('5'), counts('2')).result).toBe('not checked');
});

test('what could not be asked is not taken for good', () => {
  expect(compareCounts('no answer', counts('1'), counts('1'))).toMatchObject({ result: 'not checked' });
  expect(compareCounts(counts('1'), counts('1'), 'no answer')).toMatchObject({ result: 'not checked' });
  expect(compareCounts(counts('1'), 'no answer', counts('1'))).toMatchObject({ result: 'failed' });
});

test('a table for which the copy was too slow is no difference, and one that it cannot read is', () => {
  const slow = {
    before: 700,
    tables: new Map([['public.a', '1'] as const, ['public.b', undefined] as const]),
  };
  expect(compareCounts(counts('1', '2'), slow, counts('1', '2'))).toMatchObject({
    result: 'passed',
    detail: '1 tables have as many rows as on the standby; 1 others were not counted in time in the copy',
  });
  expect(compareCounts(counts('1', '2'), counts('1'), counts('1', '2')).result).toBe('failed');
  expect(compareCounts(slow, counts('1', '2'), slow).result).toBe('passed');
});

/** Stands for a server: `answer` gives the rows of a statement, or throws. */
function serverWith(release: string, answer: (sql: string) => readonly Record<string, unknown>[]) {
  const pgdata = temporaryDirectory();
  const process = spawn('sleep', ['60'], { cwd: pgdata, stdio: 'ignore' });
  onTestFinished(() => {
    process.kill();
  });
  writeFileSync(join(pgdata, 'postmaster.pid'), `${process.pid ?? ''}\n${pgdata}\n0\n5432\n/tmp\n\n`);
  const asked: string[] = [];
  const sql: LocalSql = (text) => {
    asked.push(text);
    return new Promise((resolve) => {
      resolve(answer(text));
    });
  };
  const withLocalSql: WithLocalSql = async (_, __, use) => ({ kind: 'answered', value: await use(sql) });
  const deps = { settings: { pgdata, port: 5432 }, withLocalSql } as unknown as StandbyDeps;
  return { asked, server: serverOf(deps, capabilitiesOf(parseVersion(release))) };
}

test('only rows from before the first count are counted, and no table that has grown too large', async () => {
  const { asked, server } = serverWith('9.0', (sql) => {
    if (sql.includes('pg_class'))
      return [
        { name: 'public.a', oid: '16384' },
        { name: 'public.never_analysed', oid: '16385' },
      ];
    if (sql.includes('pg_relation_size'))
      return [{ bytes: sql.includes('16384') ? '8192' : String(2 ** 40) }];
    if (sql.includes('txid_current_snapshot')) return [{ before: '700' }];
    return [{ rows: '3' }];
  });
  const before = await countRows(server);
  expect(before).toEqual({ before: 700, tables: new Map([['public.a', '3']]) });
  expect(asked[0]).toContain('NOT c.relistemp');
  expect(asked[0]).not.toContain('relpersistence');
  expect(asked.filter((sql) => sql.includes('count(*)'))).toEqual([
    'SELECT count(*)::text AS rows FROM public.a WHERE xmin::text::bigint < 3 OR (700 - xmin::text::bigint) & 4294967295 BETWEEN 1 AND 2147483647',
  ]);
});

test('a count that was ended by its limit is known from one that failed', async () => {
  const { server } = serverWith('15', (sql) => {
    if (sql.includes('public.slow')) throw Object.assign(new Error('canceled'), { code: '57014' });
    if (sql.includes('public.broken')) throw Object.assign(new Error('invalid page'), { code: 'XX001' });
    return [{ rows: '3' }];
  });
  const names = ['public.a', 'public.slow', 'public.broken'];
  const like = { before: 700, tables: new Map(names.map((name) => [name, '3'])) };
  expect(await countRows(server, like)).toEqual({
    before: 700,
    tables: new Map([
      ['public.a', '3'],
      ['public.slow', undefined],
    ]),
  });
});

import { describe, expect, test } from 'vitest';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { logIn } from '../../../../src/standby/server/log-in.ts';
import type { LocalServer } from '../../../../src/system/libpq-access.ts';
import type { LocalResult } from '../../../../src/system/local-sql.ts';

/** Logs in to a cluster that has these databases; returns which were tried, and the last answer. */
async function tryWith(dbname: string | undefined, databases: readonly string[]) {
  const tried: string[] = [];
  const withLocalSql = ({ database }: LocalServer): Promise<LocalResult<string>> => {
    tried.push(database);
    return Promise.resolve(
      databases.includes(database)
        ? { kind: 'answered', value: database }
        : { kind: 'rejected', reason: `database "${database}" does not exist`, code: '3D000' },
    );
  };
  const deps = { settings: { dbname }, withLocalSql } as unknown as StandbyDeps;
  const address = { host: '/tmp', port: 5432, user: 'postgres', database: dbname ?? 'postgres' };
  return { answer: await logIn(deps, address, 1000, () => Promise.resolve('')), tried };
}

describe('the database to log in to', () => {
  test('is postgres, or template1 if the cluster has none of that name', async () => {
    expect((await tryWith(undefined, ['postgres', 'template1'])).tried).toEqual(['postgres']);
    const { answer, tried } = await tryWith(undefined, ['template1']);
    expect(tried).toEqual(['postgres', 'template1']);
    expect(answer).toEqual({ kind: 'answered', value: 'template1' });
  });

  test('is only the one of the INI file if that names one', async () => {
    const { answer, tried } = await tryWith('shop', ['postgres', 'template1']);
    expect(tried).toEqual(['shop']);
    expect(answer.kind).toBe('rejected');
  });
});

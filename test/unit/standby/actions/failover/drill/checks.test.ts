import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { capabilitiesOf } from '../../../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../../../src/postgres/version.ts';
import { checkOpen } from '../../../../../../src/standby/actions/failover/drill/drill.ts';
import type { Drilling } from '../../../../../../src/standby/actions/failover/drill/drilling.ts';
import type { Opened } from '../../../../../../src/standby/actions/failover/drill/run.ts';
import type { StandbyDeps } from '../../../../../../src/standby/deps.ts';
import { serverOf } from '../../../../../../src/standby/server/server.ts';
import type { LocalSql, WithLocalSql } from '../../../../../../src/system/local-sql.ts';
import { temporaryDirectory } from '../../../../system/temporary.ts';

/** Stands for a server with one table: `answer` says what a statement gives. */
function serverWith(answer: (sql: string) => Record<string, unknown>) {
  const pgdata = temporaryDirectory();
  const process = spawn('sleep', ['60'], { cwd: pgdata, stdio: 'ignore' });
  onTestFinished(() => {
    process.kill();
  });
  writeFileSync(join(pgdata, 'postmaster.pid'), `${process.pid ?? ''}\n${pgdata}\n0\n5432\n/tmp\n\n`);
  const sql: LocalSql = (text) => Promise.resolve([answer(text)]);
  const withLocalSql: WithLocalSql = async (_, __, use) => ({ kind: 'answered', value: await use(sql) });
  const statements = join(pgdata, 'drill.sql');
  writeFileSync(statements, 'INSERT INTO visits DEFAULT VALUES RETURNING true;\n');
  const deps = {
    settings: { pgdata, port: 5432, drill_sql: statements, no_copy_conf: false },
    signal: new AbortController().signal,
    monotonicMs: () => 0,
    log: { debug: () => undefined },
    withLocalSql,
  } as unknown as StandbyDeps;
  return { deps, server: serverOf(deps, capabilitiesOf(parseVersion('15'))) };
}

test('a row that drill_sql writes in the copy is no difference from the standby', async () => {
  let visits = 7;
  const copy = serverWith((sql) => {
    if (sql.startsWith('INSERT')) visits += 1;
    return sql.startsWith('INSERT') ? { ok: true } : { rows: String(visits) };
  });
  const standby = serverWith(() => ({ rows: '7', recovering: true, replayed: '0/5000000', paused: false }));
  const checks: Drilling['course']['checks'] = [];
  const drilling = {
    deps: standby.deps,
    origin: { server: standby.server },
    course: { startedMs: 0, phases: [], checks },
    options: { deep: false },
  } as unknown as Drilling;
  const opened = { server: copy.server, replayed: { lsn: 0x5000000n } } as Opened;
  await checkOpen(drilling, { before: 700, tables: new Map([['public.visits', '7']]) }, opened);
  expect(visits).toBe(8);
  expect(checks.map(({ name, result }) => `${name}: ${result}`)).toEqual([
    'drill_sql: passed',
    'row counts: passed',
    'pg_amcheck: not checked',
  ]);
});

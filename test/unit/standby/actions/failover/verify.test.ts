import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { newRun } from '../../../../../src/standby/actions/failover/run.ts';
import { type FailoverStep, failoverSteps } from '../../../../../src/standby/actions/failover/steps.ts';
import type { StandbyDeps } from '../../../../../src/standby/deps.ts';
import { bindSteps } from '../../../../../src/standby/steps/step-table.ts';
import { localFacts } from '../../standby-facts.ts';

let pgdata: string;
beforeEach(() => {
  pgdata = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
  mkdirSync(join(pgdata, 'pg_wal', 'archive_status'), { recursive: true });
});
afterEach(() => {
  rmSync(pgdata, { recursive: true });
});

/** A server that is open on timeline 2, and counts what is written to it. */
function openServer() {
  let writes = 0;
  let loads = 0;
  const deps = {
    settings: { pgdata, user: 'postgres', no_copy_conf: true },
    signal: new AbortController().signal,
    monotonicMs: () => 0,
    nonce: () => 'nonce',
    log: { notice: () => undefined },
    withLocalSql: async (_server: unknown, _limit: number, use: (sql: unknown) => Promise<unknown>) => {
      const sql = (text: string) => {
        if (text === 'COMMIT') writes += 1;
        if (text.includes('pending_restart')) return Promise.resolve([]);
        return Promise.resolve([
          { segment: '00000002000000000000000A', recovering: false, loaded: (loads += 1) },
        ]);
      };
      return { kind: 'answered', value: await use(sql) };
    },
  } as unknown as StandbyDeps;
  return { run: newRun(deps, localFacts('18')), writes: () => writes };
}

test('the first step that needs the timeline determines it by a write, and the last check before action_failover writes again', async () => {
  const { run, writes } = openServer();
  const steps: readonly FailoverStep[] = [
    { kind: 'set-aside-last-segment' },
    { kind: 'verify-write' },
    { kind: 'archive-history' },
    { kind: 'verify-write' },
  ];
  const counts: number[] = [];
  for (const step of bindSteps(steps, failoverSteps, run)) {
    await step.run();
    counts.push(writes());
  }
  expect(run.timeline).toBe(2);
  expect(counts).toEqual([1, 2, 2, 3]);
});

test('the check writes again after another configuration has taken effect', async () => {
  const { run, writes } = openServer();
  const configuration = { configFile: '/x', parameters: new Map(), inFile: new Map() };
  const steps: readonly FailoverStep[] = [
    { kind: 'verify-write' },
    { kind: 'use-failover-conf', conf: { files: [], configuration, mustRestart: false } },
    { kind: 'verify-write' },
  ];
  for (const step of bindSteps(steps, failoverSteps, run)) await step.run();
  expect(writes()).toBe(2);
});

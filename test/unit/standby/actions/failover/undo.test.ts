import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FailoverRun, newRun } from '../../../../../src/standby/actions/failover/run.ts';
import { type FailoverStep, failoverSteps } from '../../../../../src/standby/actions/failover/steps.ts';
import type { StandbyDeps } from '../../../../../src/standby/deps.ts';
import { type PromotionRecord, readRecord } from '../../../../../src/standby/host/backup-record/record.ts';
import { writeGuard } from '../../../../../src/standby/recovery/guard.ts';
import { isUnderWay } from '../../../../../src/standby/recovery/promotion.ts';
import { recoverySettings } from '../../../../../src/standby/recovery/settings.ts';
import { bindSteps } from '../../../../../src/standby/steps/step-table.ts';
import { dataDirectory, localFacts, place } from '../../standby-facts.ts';

let pgdata: string;
const warnings: string[] = [];

beforeEach(() => {
  warnings.length = 0;
  pgdata = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
});
afterEach(() => {
  rmSync(pgdata, { recursive: true });
});

/** Above every pid that Linux gives. */
const deadPid = 2 ** 22 + 1;

function writePid(line: string): void {
  writeFileSync(join(pgdata, 'postmaster.pid'), `${line}\n${pgdata}\n1700000000\n`);
}

function bind(step: FailoverStep, major: string, changes: Partial<FailoverRun> = {}) {
  const settings = { pgdata, recovery_conf: join(pgdata, 'recovery.conf') };
  const log = { warning: (line: string) => warnings.push(line) };
  const deps = { settings, log, nonce: () => 'n' } as unknown as StandbyDeps;
  const run = newRun(deps, localFacts(major, { directory: dataDirectory(major, { pgdata }) }));
  return bindSteps<FailoverStep, FailoverRun>([step], failoverSteps, { ...run, ...changes })[0];
}

describe.each(['8.4', '9.0'])('a failover of %s that was interrupted', (major) => {
  async function breakOff(): Promise<boolean> {
    const { capabilities } = dataDirectory(major);
    const settings = recoverySettings(capabilities, { kind: 'to-end' }, place);
    const write: FailoverStep = { kind: 'write-settings', mode: 'recovery', settings };
    const bound = bind(write, major);
    await bound?.run();
    await bound?.undo();
    return existsSync(join(pgdata, 'recovery.conf'));
  }

  test('leaves a recovering server its recovery.conf, without which it could not end its recovery', async () => {
    const server = spawn('sleep', ['60'], { cwd: pgdata });
    writePid(String(server.pid));
    expect(await breakOff()).toBe(true);
    server.kill();
    expect(warnings.splice(0)).toEqual([expect.stringContaining('continues its recovery')]);
  });

  test('leaves recovery.conf also if it cannot be determined whether a server runs', async () => {
    writePid('no pid');
    expect(await breakOff()).toBe(true);
  });

  test('removes recovery.conf if no server runs', async () => {
    expect(await breakOff()).toBe(false);
    writePid(String(deadPid));
    expect(await breakOff()).toBe(false);
  });
});

describe('the file that keeps a promoted server from opening too early', () => {
  const guard = 'pitrtools-promoting';
  const step: FailoverStep = { kind: 'guard-replay', end: undefined };

  test('is removed if the server was not promoted, and stays as long as the server may open', async () => {
    writePid('4711');
    await writeGuard(pgdata, undefined);
    await bind(step, '15', { opening: 'begun' })?.undo();
    expect(existsSync(join(pgdata, guard))).toBe(true);
    await bind(step, '15')?.undo();
    expect(existsSync(join(pgdata, guard))).toBe(false);
  });
});

describe('the record that a promotion is under way', () => {
  const record: FailoverStep = { kind: 'record-role', takesRole: true };
  const claimed = async () => (await readRecord(pgdata)).promotion;
  const killed = (promotion: PromotionRecord | undefined) =>
    promotion !== undefined &&
    isUnderWay({ ...promotion, processes: promotion.processes.filter(({ pid }) => pid !== process.pid) });

  test.each(['resume-replay', 'promote', 'see-it-open'] as const)(
    'ends with the run, until %s may open the server',
    async (kind) => {
      const server = spawn('sleep', ['60'], { cwd: pgdata });
      writePid(String(server.pid));
      await bind(record, '8.4')?.run();
      const promotion = await claimed();
      expect(promotion !== undefined && isUnderWay(promotion)).toBe(true);
      expect(killed(promotion)).toBe(false);

      const opens = { kind, target: undefined } as FailoverStep;
      // There is no server that could open.
      await Promise.resolve(bind(opens, '8.4', { promotion })?.run()).catch(() => undefined);
      expect(killed(await claimed())).toBe(true);
      server.kill();
      await new Promise((resolve) => server.once('exit', resolve));
      expect(killed(await claimed())).toBe(false);
    },
  );
});

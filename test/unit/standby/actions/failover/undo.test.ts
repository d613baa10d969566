import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FailoverRun, newRun } from '../../../../../src/standby/actions/failover/run.ts';
import { type FailoverStep, failoverSteps } from '../../../../../src/standby/actions/failover/steps.ts';
import type { StandbyDeps } from '../../../../../src/standby/deps.ts';
import {
  changeRecord,
  type PromotionRecord,
  readRecord,
} from '../../../../../src/standby/host/backup-record/record.ts';
import { writeGuard } from '../../../../../src/standby/recovery/guard.ts';
import { isUnderWay, withServer } from '../../../../../src/standby/recovery/promotion.ts';
import { recoverySettings } from '../../../../../src/standby/recovery/settings.ts';
import { bindSteps } from '../../../../../src/standby/steps/step-table.ts';
import { runCommand } from '../../../../../src/system/command.ts';
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

function runOf(major: string, changed: Readonly<Record<string, unknown>> = {}): FailoverRun {
  const settings = { pgdata, recovery_conf: join(pgdata, 'recovery.conf'), start_timeout: 5, ...changed };
  const log = { warning: (line: string) => warnings.push(line) };
  const deps = { settings, log, nonce: () => 'n', run: runCommand } as unknown as StandbyDeps;
  return newRun(deps, localFacts(major, { directory: dataDirectory(major, { pgdata }) }));
}

function bind(step: FailoverStep, major: string, changes: Partial<FailoverRun> = {}) {
  return bindSteps<FailoverStep, FailoverRun>([step], failoverSteps, { ...runOf(major), ...changes })[0];
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

  test.each(['resume-replay', 'see-it-open'] as const)(
    'stays with what it decided about the role, if the run ends after %s: the server opens by itself',
    async (kind) => {
      const server = spawn('sleep', ['60'], { cwd: pgdata });
      writePid(String(server.pid));
      const run = runOf('8.4');
      const claim: FailoverStep = { kind: 'record-role', takesRole: false };
      const opens = { kind, target: undefined } as FailoverStep;
      const [first, second] = bindSteps<FailoverStep, FailoverRun>([claim, opens], failoverSteps, run);
      await first?.run();
      await second?.run().catch(() => undefined);
      await second?.undo();
      await first?.undo();
      expect((await readRecord(pgdata)).takesRole).toBe(false);
      expect(killed(await claimed())).toBe(true);
      server.kill();
    },
  );

  test('that a killed run has begun outlives the next run, which is killed or fails', async () => {
    const server = spawn('sleep', ['60'], { cwd: pgdata });
    writePid(String(server.pid));
    const asked = await withServer({ run: 'killed', processes: [{ pid: deadPid, start: '1' }] }, pgdata);
    await changeRecord(pgdata, { promotion: asked, takesRole: true });
    const run = runOf('18');
    const [next] = bindSteps<FailoverStep, FailoverRun>([record], failoverSteps, run);
    await next?.run();
    expect(killed(await claimed())).toBe(true);
    await next?.undo();
    expect(await claimed()).toEqual(asked);
    expect((await readRecord(pgdata)).takesRole).toBe(true);
    server.kill();
  });

  test.each([
    ['pg_ctl is not there', { pg_ctl: { program: '/nowhere/pg_ctl', args: [] } }, 'not begun'],
    ['pg_ctl refuses', {}, 'not begun'],
    ["a site's own command fails, which may have asked", { promote_command: 'exit 1' }, 'begun'],
  ] as const)('the server was asked to open, or not, if %s', async (_, settings, opening) => {
    const program = join(pgdata, 'pg_ctl');
    const script = '#!/bin/sh\n[ "$1" = --version ] && echo "pg_ctl (PostgreSQL) 18.1" && exit\nexit 1\n';
    writeFileSync(program, script, { mode: 0o700 });
    const run = runOf('18', { pg_ctl: { program, args: [] }, includepath: [], ...settings });
    const [promote] = bindSteps<FailoverStep, FailoverRun>([{ kind: 'promote' }], failoverSteps, run);
    await expect(promote?.run()).rejects.toThrow(/pg_ctl|promote_command/);
    expect(run.opening).toBe(opening);
  });
});

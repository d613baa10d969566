import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DrillReport, readLastDrills, recordDrill } from '../../../../src/standby/drill/record.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'drills-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const deps = {
  log: { debug: () => undefined, notice: () => undefined, warning: () => undefined, error: () => undefined },
};

function report(copy: DrillReport['copy'], result: DrillReport['result'], endedAt: string): DrillReport {
  return {
    version: 1,
    program: 'cmd_standby',
    programVersion: '2.0.0',
    host: 'here',
    startedAt: endedAt,
    endedAt,
    result,
    copy,
    phases: [],
    rpo: {},
    checks: [],
  };
}

describe('the record of the last drills', () => {
  it('is empty at first', async () => {
    expect(await readLastDrills(directory)).toEqual({ ofStandby: undefined, fromBackup: undefined });
  });

  it('keeps both kinds apart, and when each has passed', async () => {
    const ofBackup = report('new-base-backup', 'passed', '2026-11-01T00:00:00.000Z');
    const failed = report('new-base-backup', 'failed', '2026-11-02T00:00:00.000Z');
    const ofStandby = report('backup', 'passed', '2026-11-03T00:00:00.000Z');
    expect(await recordDrill(deps, directory, ofBackup)).toBeUndefined();
    expect(await readLastDrills(directory)).toEqual({
      ofStandby: undefined,
      fromBackup: { last: ofBackup, passedAt: ofBackup.endedAt },
    });
    expect((await recordDrill(deps, directory, failed))?.last).toEqual(ofBackup);
    expect(await recordDrill(deps, directory, ofStandby)).toBeUndefined();
    expect(await readLastDrills(directory)).toEqual({
      ofStandby: { last: ofStandby, passedAt: ofStandby.endedAt },
      fromBackup: { last: failed, passedAt: ofBackup.endedAt },
    });
    const snapshot = report('snapshot', 'failed', '2026-11-04T00:00:00.000Z');
    expect((await recordDrill(deps, directory, snapshot))?.last).toEqual(ofStandby);
    expect(await readLastDrills(directory)).toEqual({
      ofStandby: { last: snapshot, passedAt: ofStandby.endedAt },
      fromBackup: { last: failed, passedAt: ofBackup.endedAt },
    });
  });

  it('is replaced if it cannot be understood', async () => {
    writeFileSync(join(directory, 'last.json'), '{"last": 1}');
    await expect(readLastDrills(directory)).rejects.toThrow();
    const passed = report('stopped', 'passed', '2026-11-01T00:00:00.000Z');
    expect(await recordDrill(deps, directory, passed)).toBeUndefined();
    expect((await readLastDrills(directory)).ofStandby?.last).toEqual(passed);
  });
});

import {
  appendFileSync,
  closeSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { newestMajors } from '../harness/postgres-programs.ts';
import type { Finished } from '../harness/processes.ts';
import { sendSignal } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import { installHelpers } from './backup-kit.ts';
import { archiveSegments, laneState } from './catch-up-kit.ts';
import { printed, shownEvents, shownLedger } from './ledger-kit.ts';
import { makeStandby } from './matrix-kit.ts';
import { shipperPids } from './shipper-kit.ts';
import { expectExit } from './standby-kit.ts';

/** Of one standby. */
function auditOf({ code, stdout, stderr }: Finished, expected: number): Record<string, unknown> {
  expect(code, stderr).toBe(expected);
  const { standbys } = printed(stdout) as { standbys: readonly Record<string, unknown>[] };
  expect(standbys).toHaveLength(1);
  return standbys[0] ?? {};
}

describe.each(newestMajors())('--audit after a campaign, on PostgreSQL %i', (major) => {
  test.override({ major });

  test(
    'finds exactly the segments that were removed or changed by hand at the standby',
    { timeout: 480_000 },
    async ({ world }) => {
      const primary = await world.startPrimary({ slaves: ['s1', 's2'], walSegmentMb: 1 });
      await primary.sql('CREATE TABLE rows (id serial PRIMARY KEY)');
      await installHelpers(primary);
      const place = await world.addStandby('s1', primary);
      const standby = await world.addStandby('s2', primary, { ini: { wal_timeout: 60 } });
      expectExit(await world.cmdStandby(place, ['-I']), 0);
      expectExit(await world.cmdStandby(standby, ['-I']), 0);
      expectExit(await world.cmdArchiver(primary, ['-I']), 0);
      await makeStandby(world, standby);
      const audit = (...more: string[]) =>
        world.cmdArchiver(primary, ['--audit', 's2', '--digests', '--json', ...more]);
      const ledger = async () => shownLedger(await world.cmdArchiver(primary, ['--ledger', '--json']), 's2');

      const before = await archiveSegments(primary, 4);
      for (const pid of shipperPids(primary.host)) sendSignal(pid, 'SIGKILL');
      before.push(...(await archiveSegments(primary, 3)));
      expectExit(await world.cmdArchiver(primary, ['--abandon', 's2']), 0);
      const lost = await archiveSegments(primary, 3);
      for (const name of lost) rmSync(join(primary.pgdata, 'pg_wal', name));
      expectExit(await world.cmdArchiver(primary, ['--resume', 's2']), 0);
      const after = await archiveSegments(primary, 8);
      expectExit(await world.cmdArchiver(primary, ['--flush']), 0);
      await eventually(() => laneState(primary, 's2').gap !== undefined, { what: 'the gap' });
      await standby.received(after.at(-1) ?? '');

      // The rest of the last ten seconds is written when the shipper ends.
      for (const pid of shipperPids(primary.host)) sendSignal(pid, 'SIGTERM');
      await eventually(() => shipperPids(primary.host).length === 0);
      const { missing, events } = await ledger();
      expect(missing).toMatchObject([{ first: lost[0], last: lost[2], why: 'abandoned' }]);
      expect(events.map(({ kind }) => kind)).toEqual(
        expect.arrayContaining(['backup-begun', 'backup-ended', 'caught-up', 'abandoned', 'resumed', 'gap']),
      );
      const history = shownEvents(await world.cmdArchiver(primary, ['--history', '--json']));
      expect(history.map(({ kind, standby: of }) => `${of ?? ''} ${kind}`)).toEqual(
        expect.arrayContaining(['s2 backup-begun', 's2 abandoned', 's2 resumed', 's2 gap']),
      );
      const times = history.map(({ at: moment }) => moment);
      expect([...times].sort()).toEqual(times);
      const said = await world.cmdArchiver(primary, ['--history']);
      expect(said.stdout).toMatch(/UTC.* s2: abandoned by the operator +\S+@\S+$/m);
      const own = await world.cmdStandby(standby, ['--history']);
      expect(own.stdout).toMatch(/base backup ".*" from LSN [\s\S]*started as a standby \(-S\)/);
      const whole = auditOf(await audit(), 0);
      expect(whole).toMatchObject({ verdict: 'whole', missing: [], wrongSize: [], otherContent: [] });
      expect(Number(whole['compared'])).toBeGreaterThanOrEqual(8);

      // A line that cannot be read may have recorded a delivery.
      const journal = join(primary.lArchiveDir, '.archiver', 'ledger', 's2@events');
      const lines = readFileSync(journal);
      appendFileSync(journal, '{"kind":"range","first":"0000\n');
      expect(auditOf(await audit(), 1)).toMatchObject({
        verdict: 'unknown',
        reason: expect.stringMatching(/^a line of its ledger cannot be read/) as string,
        missing: [],
      });
      writeFileSync(journal, lines);

      const at = (name: string | undefined): string => join(standby.host.archiveDir, name ?? '');
      const [removed, second, cut, changed] = [before.at(-1), after[1], after[3], after[5]];
      for (const name of [removed, second, after[2]]) rmSync(at(name));
      truncateSync(at(cut), 4096);
      const file = openSync(at(changed), 'r+');
      writeSync(file, 'other bytes', 600_000);
      closeSync(file);
      expect(auditOf(await audit(), 1)).toMatchObject({
        verdict: 'faulty',
        missing: [
          { first: removed, last: removed, segments: 1 },
          { first: second, last: after[2], segments: 2 },
        ],
        wrongSize: [{ name: cut, size: 4096 }],
        otherContent: [changed],
      });
      const shown = await world.cmdArchiver(primary, ['--audit', 's2']);
      expect(shown.code).toBe(1);
      expect(shown.stdout).toContain(`Standby s2: missing: ${second ?? ''} to ${after[2] ?? ''} (2)`);
      expect(shown.stdout).not.toContain(changed);

      // A standby without a server has no restartpoint: nothing says what it must still have.
      const all = await world.cmdArchiver(primary, ['--audit']);
      expect(all.code).toBe(1);
      expect(all.stdout).toMatch(/Standby s1: unknown: it has no data yet/);
      await standby.host.sshd.kill();
      expect(auditOf(await audit(), 1)).toMatchObject({ verdict: 'unknown' });
    },
  );
});

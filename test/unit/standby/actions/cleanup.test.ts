import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseBackupLabel } from '../../../../src/postgres/backup-label.ts';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import type { ControlFile } from '../../../../src/postgres/control-file.ts';
import { parseLsn } from '../../../../src/postgres/lsn.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';
import { parseWalName, type WalName } from '../../../../src/postgres/wal-name.ts';
import {
  type CleanupFacts,
  cleanupSteps,
  planCleanup,
  readSuperseded,
  segmentSize,
} from '../../../../src/standby/actions/cleanup.ts';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const layout = { segmentSize: 16 * 1024 * 1024, walSegmentSkipsFF: false };

function control(changes: Partial<ControlFile>): ControlFile {
  return {
    systemIdentifier: '1',
    catalogVersion: 202209061,
    state: 'in-archive-recovery',
    time: 0n,
    checkpointLsn: parseLsn('0/5000060'),
    redoLsn: parseLsn('0/5000028'),
    timeline: 1,
    checksum: 0x1234,
    walSegmentSize: 16 * 1024 * 1024,
    ...changes,
  };
}

function facts(names: readonly string[], changes: Partial<CleanupFacts> = {}): CleanupFacts {
  const files = names.map(parseWalName).filter((name): name is WalName => name.kind !== 'not-wal');
  return {
    directory: {
      pgdata: '/d',
      capabilities: capabilitiesOf(parseVersion('15')),
      control: control({}),
      controlProblem: undefined,
      backupLabel: undefined,
      record: {},
    },
    files,
    layout,
    numarchives: 0,
    keptFrom: undefined,
    superseded: [],
    leftSlots: [],
    ...changes,
  };
}

const segments = (last: number, timeline = 1) =>
  Array.from(
    { length: last },
    (_, i) => `0000000${timeline}00000000${(i + 1).toString(16).toUpperCase().padStart(8, '0')}`,
  );

const removed = (input: CleanupFacts) =>
  planCleanup(input).flatMap((step) => ('name' in step ? [step.name] : []));

describe('--cleanup', () => {
  test('drops slots on other servers by which this standby streams no more', () => {
    const slots = [{ name: 'pitrtools_for_b_0123456789ab', host: 'old', port: 5432 }];
    const { kind, ...step } = planCleanup(facts(segments(8), { leftSlots: slots })).at(-1) ?? {};
    expect(kind).toBe('drop-left-slots');
    expect(step).toMatchObject({ slots });
  });

  test('drops them of a promoted server, too, whose own need of WAL is not known', () => {
    const slots = [{ name: 'pitrtools_for_b_0123456789ab', host: 'old', port: 5432 }];
    const standby = facts(segments(8)).directory;
    const directory = {
      ...standby,
      control: control({ state: 'in-production' }),
      record: { promotedAtTimeline: 2 },
    };
    expect(planCleanup(facts(segments(8), { leftSlots: slots, directory }))).toMatchObject([
      { kind: 'drop-left-slots', slots },
    ]);
    expect(() => planCleanup(facts(segments(8), { directory }))).toThrow('nothing was removed');
  });

  test('takes the size of a segment from pg_control where no base backup was recorded', async () => {
    const archive = { directory: '/nonexistent', files: [] };
    const size = 64 * 1024 * 1024;
    expect(await segmentSize({ record: {}, control: control({ walSegmentSize: size }) }, archive)).toBe(size);
    await expect(segmentSize({ record: {}, control: undefined }, archive)).rejects.toThrow(
      'cannot determine the size',
    );
  });

  test('removes WAL from before the last restartpoint, oldest first', () => {
    expect(removed(facts(segments(8)))).toEqual(segments(4));
  });

  test('keeps numarchives segments in any case', () => {
    expect(removed(facts(segments(8), { numarchives: 6 }))).toEqual(segments(2));
    expect(removed(facts(segments(8), { numarchives: 100 }))).toEqual([]);
  });

  test('removes superseded WAL with any numarchives unless it may be needed, and then the empty directories', () => {
    const superseded = (names: readonly string[], hasOthers = false) => ({
      directory: '.superseded-x',
      files: facts(names).files,
      hasOthers,
    });
    const cleanup = (one: ReturnType<typeof superseded>) =>
      planCleanup(facts([], { numarchives: 5, superseded: [one] }));
    const [first = '', second = ''] = segments(2);
    expect(cleanup(superseded([second, first]))).toEqual([
      { kind: 'remove', name: `.superseded-x/${first}` },
      { kind: 'remove', name: `.superseded-x/${second}` },
      { kind: 'remove-directory', name: '.superseded-x' },
    ]);
    expect(cleanup(superseded([first], true))).toHaveLength(1);
    expect(cleanup(superseded(segments(8)))).toHaveLength(4);
    expect(cleanup(superseded([]))).toEqual([{ kind: 'remove-directory', name: '.superseded-x' }]);
  });

  test('keeps everything from the start of a base backup that was not started yet', () => {
    const label = parseBackupLabel(
      'START WAL LOCATION: 0/3000028 (file 000000010000000000000003)\nCHECKPOINT LOCATION: 0/3000060\nSTART TIME: 2024-01-01 00:00:00 UTC\nLABEL: x\n',
      'backup_label',
    );
    const input = facts(segments(8));
    expect(removed({ ...input, directory: { ...input.directory, backupLabel: label } })).toEqual(segments(2));
  });

  test('never removes history files or a timeline that the standby has not reached', () => {
    const names = ['00000002.history', ...segments(6, 2), ...segments(2)];
    expect(removed(facts(names))).toEqual(segments(2));
  });

  test('removes the remains of older base backups and timelines, and keeps the newer ones', () => {
    const old = '000000010000000000000002.00000028.backup';
    const partial = '000000010000000000000003.partial';
    const needed = '000000010000000000000006.00000028.backup';
    expect(removed(facts([old, partial, needed]))).toEqual([old, partial]);
  });

  test('keeps the segment of a redo location on a boundary', () => {
    const input = facts(segments(6));
    const directory = { ...input.directory, control: control({ redoLsn: parseLsn('0/5000000') }) };
    expect(removed({ ...input, directory })).toEqual(segments(4));
  });

  test.each(['in-production', 'shut-down', 'in-crash-recovery'] as const)(
    'refuses on a server that is %s',
    (state) => {
      const input = facts(segments(8));
      const directory = { ...input.directory, control: control({ state }) };
      expect(() => planCleanup({ ...input, directory })).toThrow(/cannot be determined; nothing was removed/);
    },
  );

  test('refuses if pg_control cannot be read', () => {
    const input = facts(segments(8));
    const directory = { ...input.directory, control: undefined, controlProblem: 'damaged' };
    expect(() => planCleanup({ ...input, directory })).toThrow(/nothing was removed/);
  });

  test('takes what another --cleanup has removed meanwhile for removed', async () => {
    const archivedir = temporaryDirectory();
    const said: string[] = [];
    const report = (line: string) => said.push(line);
    const deps = { settings: { archivedir }, report } as unknown as StandbyDeps;
    const name = '.superseded-x';
    const remove = () => cleanupSteps['remove-directory'].run(deps, { kind: 'remove-directory', name });
    expect(await readSuperseded(archivedir, name)).toBeUndefined();
    await remove();
    expect(said).toEqual([`removed ${name}`]);
    mkdirSync(join(archivedir, name));
    writeFileSync(join(archivedir, name, 'mine'), '');
    await expect(remove()).rejects.toThrow('ENOTEMPTY');
  });
});

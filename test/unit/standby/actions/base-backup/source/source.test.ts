import { describe, expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../../../src/postgres/capabilities.ts';
import { sourceStateSql } from '../../../../../../src/postgres/server-sql.ts';
import { parseVersion } from '../../../../../../src/postgres/version.ts';
import { comparisonFor } from '../../../../../../src/standby/actions/base-backup/copy/comparison.ts';
import { planBaseBackup } from '../../../../../../src/standby/actions/base-backup/plan.ts';
import {
  parseSourceState,
  type SourceFacts,
} from '../../../../../../src/standby/actions/base-backup/source/facts.ts';
import { findUnplaced, locatedOn } from '../../../../../../src/standby/actions/base-backup/source/origin.ts';
import { rulesForSource } from '../../../../../../src/standby/actions/base-backup/source/own-files.ts';
import { dataRules } from '../../../../../../src/standby/host/copy-rules.ts';
import { backupFacts, completeBackup, localPlace, primaryFacts } from '../facts-kit.ts';

const following = {
  inRecovery: true,
  isPaused: false,
  replayedLsn: 0x5000000n,
  redoLsn: 0x4000000n,
  timeline: 1,
};

function source(changes: Partial<SourceFacts> = {}): SourceFacts {
  const server = { ...primaryFacts({ inRecovery: true }), dataDirectory: '/source/main' };
  return { host: 'standby2', server, state: following, overlaps: [], ...changes };
}

describe('the plan of a base backup from another standby', () => {
  test('waits for that standby first, and checks it again after the copy', () => {
    const kinds = planBaseBackup(backupFacts({ source: source() })).map(({ kind }) => kind);
    expect(kinds.slice(2, 9)).toEqual([
      'start-backup',
      'await-source',
      'plan-copy',
      'mark-copying',
      'prepare-targets',
      'copy-files',
      'check-source',
    ]);
  });

  test('does not compare by times, and neither does the next base backup of the primary', () => {
    const record = { backup: completeBackup };
    const content = {
      kind: 'cluster',
      systemIdentifier: completeBackup.systemIdentifier,
      isFresh: false,
      isCrashed: false,
    } as const;
    const settled = { record, place: localPlace({ content }) };
    expect(comparisonFor(backupFacts(settled))).toBe('times');
    expect(comparisonFor(backupFacts({ ...settled, source: source() }))).toBe('contents');
    const after = { backup: { ...completeBackup, source: 'standby2' } };
    expect(comparisonFor(backupFacts({ ...settled, record: after }))).toBe('contents');
  });

  test.each([
    [
      'another cluster',
      { server: { ...source().server, systemIdentifier: '7' } },
      /is of another cluster \(7\)/,
    ],
    ['a primary', { server: primaryFacts() }, /is not in recovery/],
    ['a paused replay', { state: { ...following, isPaused: true } }, /replay is paused on standby2/],
    [
      'another timeline',
      { state: { ...following, timeline: 2 } },
      /standby2 is on timeline 2, and the primary on 1/,
    ],
    [
      'directories of ours',
      { overlaps: [{ ours: '/a', theirs: '/b', overlap: 'same' as const }] },
      /"\/a" overlaps with "\/b" of standby2/,
    ],
  ])('is refused: %s', (_name, changes, message) => {
    expect(() => planBaseBackup(backupFacts({ source: source(changes) }))).toThrow(message);
  });

  test('is refused before 9.6', () => {
    const facts = backupFacts({ primary: primaryFacts({}, '9.5'), source: source({ state: undefined }) });
    expect(() => planBaseBackup(facts)).toThrow('PostgreSQL 9.5 cannot be read from a standby');
  });
});

const inside = {
  oid: '1',
  name: 'inner',
  location: '/primary/main/inner',
  target: '/standby/main/inner',
  isInsidePgdata: true,
};
const outside = { oid: '2', name: 'fast', location: '/fast', target: '/here', isInsidePgdata: false };

test('tablespaces are copied from their paths on that standby', () => {
  const there = {
    ...source().server,
    tablespaces: [
      { oid: '1', name: 'inner', location: '/source/main/inner' },
      { oid: '2', name: 'fast', location: '/elsewhere' },
    ],
  };
  expect(findUnplaced([inside, outside], primaryFacts(), there)).toEqual([]);
  expect(locatedOn([inside, outside], there)).toEqual([
    { ...inside, location: '/source/main/inner' },
    { ...outside, location: '/elsewhere' },
  ]);
  const moved = { ...there, tablespaces: [{ oid: '1', name: 'inner', location: '/other' }] };
  expect(findUnplaced([inside, outside], primaryFacts(), moved)).toEqual([
    { name: 'inner', reason: 'lies elsewhere there ("/other") than inside its data directory' },
    { name: 'fast', reason: 'is not there yet' },
  ]);
});

test("a standby's own settings are neither copied nor removed", () => {
  const rules = rulesForSource(dataRules([], '/source/main', []));
  expect(rules.isCopied('postgresql.auto.conf')).toBe(false);
  expect(rules.isKept('postgresql.auto.conf', false)).toBe(true);
  expect(rules.isCopied('base/1/1259')).toBe(true);
  expect(rules.isCopied('standby.signal')).toBe(false);
});

test('the state of a standby is queried by the SQL of each release', () => {
  const sql = (version: string) => sourceStateSql(capabilitiesOf(parseVersion(version)));
  expect(sql('9.6')).toBe(
    'SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_is_xlog_replay_paused() END, ' +
      'pg_last_xlog_replay_location(), redo_location, timeline_id FROM pg_control_checkpoint()',
  );
  expect(sql('10')).toBe(
    'SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END, ' +
      'pg_last_wal_replay_lsn(), redo_lsn, timeline_id FROM pg_control_checkpoint()',
  );
  expect(() => sql('9.5')).toThrow('PostgreSQL 9.5 cannot be copied from a standby');
  expect(parseSourceState([['t', 'f', '0/5000060', '0/5000028', '2']])).toEqual({
    inRecovery: true,
    isPaused: false,
    replayedLsn: 0x5000060n,
    redoLsn: 0x5000028n,
    timeline: 2,
  });
  expect(parseSourceState([['f', '', '', '0/5000028', '1']])).toMatchObject({
    inRecovery: false,
    isPaused: false,
    replayedLsn: undefined,
  });
});

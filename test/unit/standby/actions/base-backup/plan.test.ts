import { describe, expect, test } from 'vitest';
import { exitCodes, PitrError } from '../../../../../src/errors.ts';
import { comparisonFor } from '../../../../../src/standby/actions/base-backup/copy/comparison.ts';
import type { BackupFacts } from '../../../../../src/standby/actions/base-backup/facts.ts';
import { findForeignHistory, planBaseBackup } from '../../../../../src/standby/actions/base-backup/plan.ts';
import type { BackupRun } from '../../../../../src/standby/actions/base-backup/results.ts';
import { type BackupStep, backupSteps } from '../../../../../src/standby/actions/base-backup/steps.ts';
import type { LocalPlace } from '../../../../../src/standby/host/place.ts';
import { type Force, fullForce, noForce } from '../../../../../src/standby/steps/force.ts';
import { bindSteps } from '../../../../../src/standby/steps/step-table.ts';
import type { Sentinel } from '../../../../../src/system/sentinel.ts';
import { slot, slots } from '../../slot/slots-there.ts';
import {
  backupFacts,
  cluster,
  completeBackup,
  localPlace,
  primaryFacts,
  rsyncAbility,
  walNames,
} from './facts-kit.ts';

function refusalOf(facts: BackupFacts): PitrError {
  try {
    planBaseBackup(facts);
  } catch (error) {
    if (error instanceof PitrError) return error;
    throw error;
  }
  throw new Error('not refused');
}

function sentenceOf(step: BackupStep, facts: BackupFacts): string {
  return bindSteps([step], backupSteps, { facts } as BackupRun)[0]?.say() ?? '';
}

const place = (changes: Partial<LocalPlace>): BackupFacts => backupFacts({ place: localPlace(changes) });
const tablespace = {
  oid: '16400',
  name: 'fast',
  location: '/disk/fast',
  target: '/here/fast',
  isInsidePgdata: false,
};

describe('the plan of a base backup', () => {
  test('makes the slot by which the standby will stream once it is noted, or says why it cannot', () => {
    const asked = { kind: 'asked', name: slot().name, host: 'a', port: 5432, isUnlimited: false } as const;
    const order = planBaseBackup(backupFacts({ slot: { ...asked, there: slots() } })).map(({ kind }) => kind);
    expect(order.indexOf('make-slot')).toBe(order.indexOf('mark-copying') + 1);
    expect(order.indexOf('make-slot')).toBeLessThan(order.indexOf('await-wal'));
    const unlimited = slots({ limitBytes: undefined });
    expect(refusalOf(backupFacts({ slot: { ...asked, there: unlimited } })).message).toContain(
      'max_slot_wal_keep_size is not set on a',
    );
  });

  test('changes nothing here before WAL has arrived, and ends with pg_control', () => {
    expect(planBaseBackup(backupFacts()).map(({ kind }) => kind)).toEqual([
      'write-sentinel',
      'prove-wal',
      'start-backup',
      'plan-copy',
      'mark-copying',
      'prepare-targets',
      'copy-files',
      'link-tablespaces',
      'fetch-control',
      'stop-backup',
      'write-label',
      'clean-settings',
      'flush',
      'await-wal',
      'finish',
      'move-older',
    ]);
  });

  test('copies tablespaces except those inside pgdata, and the configuration that is missing', () => {
    const inside = { ...tablespace, name: 'inside', isInsidePgdata: true };
    const facts = backupFacts({
      place: localPlace({ targets: [tablespace, inside] }),
      missingConfiguration: [{ name: 'postgresql.conf', source: '/etc/x' }],
    });
    const steps = planBaseBackup(facts);
    const copy = steps.find(({ kind }) => kind === 'copy-files');
    expect(copy === undefined ? '' : sentenceOf(copy, facts)).toMatch(
      /^copy "\/primary\/main" to "[^"]+", tablespace "fast" to "\/here\/fast", comparing every byte,/,
    );
    expect(steps.map((step) => sentenceOf(step, facts))).toContain(
      'link 2 tablespaces in "/standby/main/pg_tblspc"',
    );
    expect(steps.map(({ kind }) => kind)).toContain('copy-configuration');
  });

  test('describes every step in one line', () => {
    const facts = backupFacts({
      place: localPlace({ targets: [tablespace] }),
      archived: walNames('00000002.history'),
      missingConfiguration: [{ name: 'pg_hba.conf', source: '/etc/x' }],
    });
    for (const step of planBaseBackup(facts)) expect(sentenceOf(step, facts)).toMatch(/^[a-z][^\n]+$/);
  });

  test('removes an earlier promotion of this standby from the sentinel, but no left timeline, and remembers it for the undo', () => {
    const sentinel = {
      systemIdentifier: cluster,
      standby: 'here',
      primaryPgdata: '/x',
      promotedAtTimeline: 2,
      left: [{ timeline: 1, lsn: 0x3000060n, by: 'other' }],
    };
    const position = { lsn: 0x5000000n, timeline: 2 };
    const facts = { ...place({ sentinel: { kind: 'found', sentinel } }), position };
    expect(planBaseBackup(facts)[0]).toMatchObject({
      kind: 'write-sentinel',
      previous: sentinel,
      followed: undefined,
      sentinel: {
        systemIdentifier: cluster,
        promotedAtTimeline: undefined,
        primaryPgdata: '/primary/main',
        command: { program: '/p/bin/cmd_standby', iniFile: '/i' },
        left: sentinel.left,
      },
    });
  });

  test('withdraws that the server has replayed past a fork, as its data are replaced', () => {
    const left = [{ timeline: 1, lsn: 0x3000060n, by: 'other' }];
    const position = { lsn: 0x5000000n, timeline: 2 };
    const [first] = planBaseBackup({ ...place({}), position });
    const { sentinel } = first?.kind === 'write-sentinel' ? first : {};
    if (sentinel === undefined) throw new Error('nothing is written');
    const planned = (diverged: Sentinel['diverged']) => {
      const found = { ...sentinel, left, diverged };
      return planBaseBackup({ ...place({ sentinel: { kind: 'found', sentinel: found } }), position });
    };
    expect(planned(undefined)[0]?.kind).not.toBe('write-sentinel');
    const [written] = planned(left);
    expect(written).toMatchObject({ kind: 'write-sentinel', sentinel: { left } });
    expect(written).not.toHaveProperty('sentinel.diverged');
  });
});

describe('the timeline of the primary was left', () => {
  const mark = (by: string) => ({ timeline: 1, lsn: 0x3000060n, by });
  const other = { timeline: 7, lsn: 0x3000060n, by: 'other' };
  const facts = (by: string, force: Force = noForce): BackupFacts => ({
    ...place({
      sentinel: {
        kind: 'found',
        sentinel: {
          systemIdentifier: cluster,
          standby: 'here',
          primaryPgdata: '/x',
          promotedAtTimeline: undefined,
          left: [mark(by), other],
        },
      },
    }),
    force,
  });

  test('by another host: it is an old primary, and a base backup of it is refused', () => {
    expect(() => planBaseBackup(facts('other'))).toThrow(
      /the server there is an old primary: timeline 1 was left at 0\/3000060 by other/,
    );
  });

  test.each<[string, BackupFacts]>([
    ['by this host alone', facts('here')],
    ['by another host, and that is overruled', facts('other', { kind: 'named', names: ['left-timeline'] })],
  ])('%s: the base backup takes the mark back, and no other one', (_, given) => {
    const [first] = planBaseBackup(given);
    expect(first).toMatchObject({ kind: 'write-sentinel', sentinel: { left: [other] } });
    expect(first && sentenceOf(first, given)).toMatch(/and take back that timeline 1 was left at 0\/3000060/);
  });
});

describe('a base backup is refused', () => {
  test.each<[string, BackupFacts, RegExp]>([
    [
      'while PostgreSQL runs here',
      place({
        postmaster: {
          kind: 'running',
          pid: 7,
          port: 1,
          socketDirectory: undefined,
          listenAddress: undefined,
        },
      }),
      /PostgreSQL runs here.*pid 7/,
    ],
    [
      'when any error while reading the pid file leaves it unclear whether one does',
      place({ postmaster: { kind: 'unclear', reason: 'EACCES' } }),
      /cannot determine whether PostgreSQL runs here: EACCES/,
    ],
    [
      'over a server that crashed',
      place({ postmaster: { kind: 'stale', pid: 7 } }),
      /was not shut down: its postmaster.pid names 7/,
    ],
    [
      'over a production server that was not shut down',
      place({ content: { kind: 'cluster', systemIdentifier: cluster, isFresh: false, isCrashed: true } }),
      /was not shut down: its pg_control says/,
    ],
    [
      'into directories that overlap',
      place({ ownOverlaps: [{ inner: '/here/a/b', outer: '/here/a' }] }),
      /"\/here\/a\/b" lies in "\/here\/a"/,
    ],
    ['without an archivedir', place({ hasArchivedir: false }), /there is no archivedir/],
    [
      'over another cluster',
      place({ content: { kind: 'cluster', systemIdentifier: '1', isFresh: false, isCrashed: false } }),
      /holds another cluster \(1\)/,
    ],
    [
      'over what is no cluster',
      place({ content: { kind: 'unknown', reason: 'x' } }),
      /is no data directory: x/,
    ],
    [
      'without a sentinel',
      place({ sentinel: { kind: 'none' } }),
      /no \.pitrtools: is its file system mounted\?.*/,
    ],
    ['with a sentinel that names nothing', place({ sentinel: { kind: 'unreadable' } }), /names no cluster/],
    [
      "with another cluster's archive",
      place({
        sentinel: {
          kind: 'found',
          sentinel: {
            systemIdentifier: '2',
            standby: '',
            primaryPgdata: '',
            promotedAtTimeline: undefined,
            left: [],
          },
        },
      }),
      /belongs to cluster 2/,
    ],
    ["with another cluster's WAL", place({ foreignSegment: '0'.repeat(24) }), /written by another cluster/],
    [
      "into the primary's own directory",
      place({ overlaps: [{ ours: '/standby/main', theirs: '/primary/main', overlap: 'same' }] }),
      /is the primary's own directory/,
    ],
    ['with another version', place({ expectedVersion: '11' }), /says 11, but the primary is PostgreSQL 15/],
    [
      'while archive_mode is off',
      backupFacts({ primary: primaryFacts({ archiveMode: 'off' }) }),
      /archive_mode is off/,
    ],
    [
      'without an archive_command',
      backupFacts({ primary: primaryFacts({ archiveCommand: '' }) }),
      /archive_command is empty/,
    ],
    [
      'of a standby',
      backupFacts({ primary: primaryFacts({ inRecovery: true }), position: undefined }),
      /in recovery/,
    ],
  ])('%s', (_when, facts, message) => {
    const error = refusalOf(facts);
    expect(error.message).toMatch(message);
    expect(error.exitCode).toBe(exitCodes.refused);
    expect(error.hint).toBeTruthy();
  });

  test('if a foreign backup is in progress and only one is possible, but an own old one is ended', () => {
    const startTime = '2012-10-16 02:44:37 PDT';
    const other = backupFacts({ backupInProgress: { label: 'other tool', startTime } });
    expect(refusalOf(other).message).toContain('another backup is in progress on the primary: "other tool"');
    const label = 'pitrtools here old';
    const byHand = backupFacts({ backupInProgress: { label, startTime }, notedBackup: 'pitrtools here new' });
    expect(refusalOf(byHand).message).toContain(
      'another backup is in progress on the primary: "pitrtools here old"',
    );
    expect(refusalOf(byHand).hint).toContain('-A stop_basebackup');
    const own = backupFacts({ backupInProgress: { label, startTime }, notedBackup: label });
    expect(planBaseBackup(own)).toContainEqual({ kind: 'end-leftover', label: 'pitrtools here old' });
  });

  test('with all objections at once', () => {
    const facts = backupFacts({
      primary: primaryFacts({ archiveMode: 'off' }),
      place: localPlace({ hasArchivedir: false, troubles: [{ message: 'not ours', hint: 'chown' }] }),
    });
    const error = refusalOf(facts);
    expect(error.message).toBe('not ours; nothing was changed');
    expect(error.detail).toContain('there is no archivedir');
    expect(error.detail).toContain('archive_mode is off');
  });

  test('over a promoted server whose failover was not finished, unless forced', () => {
    const facts = backupFacts({ record: { promotedAtTimeline: 2, isFailoverUnfinished: true } });
    expect(refusalOf(facts).message).toMatch(/promoted at timeline 2, and whose failover was not finished/);
    expect(refusalOf(facts).hint).toContain('-F999');
    expect(planBaseBackup({ ...facts, force: fullForce })).not.toEqual([]);
    expect(planBaseBackup(backupFacts({ record: { promotedAtTimeline: 2 } }))).not.toEqual([]);
  });

  test('over a server that opened although nothing recorded that, unless forced', () => {
    const record = { promotion: { run: 'aa', processes: [] } };
    const facts = backupFacts({ record, hasLeftRecovery: true });
    expect(refusalOf(facts).message).toMatch(/ was promoted, and whose failover was not finished/);
    expect(refusalOf(facts).hint).toContain('-F999');
    expect(planBaseBackup({ ...facts, force: fullForce })).not.toEqual([]);
    expect(planBaseBackup(backupFacts({ record, hasLeftRecovery: false }))).not.toEqual([]);
  });

  test('over a used cluster, but not over one that was never used, without --force', () => {
    const content = { kind: 'cluster', systemIdentifier: '1', isFresh: true, isCrashed: false } as const;
    expect(planBaseBackup(place({ content }))).not.toEqual([]);
    const facts = { ...place({ content: { ...content, isFresh: false } }), force: fullForce };
    expect(planBaseBackup(facts)).not.toEqual([]);
  });
});

describe('WAL of another history in archivedir', () => {
  test('is on a later timeline or beyond the end of the current one', () => {
    const facts = backupFacts({
      archived: walNames(
        '000000010000000000000004',
        '000000010000000000000005',
        '000000010000000000000006',
        '000000010000000000000003.00000028.backup',
        '00000002.history',
        '000000020000000000000004',
        '000000010000000000000007.partial',
      ),
    });
    expect(findForeignHistory(facts).map(({ text }) => text)).toEqual([
      '000000010000000000000006',
      '00000002.history',
      '000000020000000000000004',
      '000000010000000000000007.partial',
    ]);
    expect(planBaseBackup(facts)[1]).toMatchObject({ kind: 'set-aside' });
  });

  test('does not include files of an earlier timeline', () => {
    const facts = backupFacts({
      position: { lsn: 0x5000000n, timeline: 3 },
      archived: walNames(
        '00000003.history',
        '00000002.history',
        '000000020000000000000009',
        '000000010000000000000009',
      ),
    });
    expect(findForeignHistory(facts)).toEqual([]);
  });
});

describe('a comparison by times', () => {
  const ours = { kind: 'cluster', systemIdentifier: cluster, isFresh: false, isCrashed: false } as const;
  const settled = { place: localPlace({ content: ours }), record: { backup: completeBackup } };

  test('is used after a complete backup of this cluster', () => {
    expect(comparisonFor(backupFacts(settled))).toBe('times');
  });

  test.each<[string, Partial<BackupFacts>]>([
    ['an unfinished copy', { ...settled, record: { backup: { ...completeBackup, status: 'copying' } } }],
    ['an empty directory, whose tablespaces may be full', {}],
    ['a directory without a record', { ...settled, record: {} }],
    [
      "another cluster's record",
      { ...settled, record: { backup: { ...completeBackup, systemIdentifier: '1' } } },
    ],
    ['another cluster', { ...settled, place: localPlace({ content: { ...ours, systemIdentifier: '1' } }) }],
    [
      'an rsync that compares whole seconds',
      { ...settled, rsync: { ...rsyncAbility, comparesNanoseconds: false } },
    ],
  ])('is not used with %s', (_what, changes) => {
    expect(comparisonFor(backupFacts(changes))).toBe('contents');
  });
});

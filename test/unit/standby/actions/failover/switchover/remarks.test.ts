import { describe, expect, test } from 'vitest';
import type {
  BeforeFacts,
  SwitchoverFacts,
} from '../../../../../../src/standby/actions/failover/switchover/facts.ts';
import {
  isStoppedForUs,
  mayBePromoted,
} from '../../../../../../src/standby/actions/failover/switchover/objections.ts';
import {
  listRemarks,
  remainingSlots,
} from '../../../../../../src/standby/actions/failover/switchover/remarks.ts';
import { localFacts } from '../../../standby-facts.ts';
import { beforeFacts, slot } from './before-facts.ts';

function remarksOn(changes: Partial<BeforeFacts>, version = '18') {
  const before = beforeFacts(changes);
  const facts = { before, failover: localFacts(version), peer: { host: 'a' } };
  return listRemarks(facts as unknown as SwitchoverFacts);
}

const logical = { kind: 'logical' } as const;
const { primary } = beforeFacts();

describe('logical slots of the primary', () => {
  const lost = (
    slots: BeforeFacts['primary']['slots'],
    slotsHere: BeforeFacts['slotsHere'],
    version = '18',
  ) =>
    remarksOn({ primary: { ...primary, slots }, slotsHere }, version).filter(({ message }) =>
      message.includes('lose their place'),
    );

  test('are lost unless this host has a synchronised copy that is valid', () => {
    const slots = ['a', 'b', 'c'].map((name) => slot(name, { ...logical, isForFailover: name !== 'b' }));
    const copy = { ...logical, isCopy: true };
    // "b" is a slot of this host's own, and "c" was invalidated.
    const here = [slot('a', copy), slot('b', logical), slot('c', { ...copy, keepsWal: false })];
    const [remark, ...more] = lost(slots, here);
    expect(more).toEqual([]);
    expect(remark?.message).toMatch(/no synchronised copy here.*: b, c$/);
    expect(remark?.hint).toContain('ALTER SUBSCRIPTION … SET (failover = true) for those of b, sync');
    expect(lost(slots.slice(0, 1), here)).toEqual([]);
  });

  test('are lost before 17', () => {
    const [remark] = lost([slot('a', logical)], [], '16');
    expect(remark?.message).toMatch(/do not come along.*: a$/);
    expect(remark?.hint).toContain('pg_create_logical_replication_slot');
  });
});

describe('slots that remain on the old primary', () => {
  test('are named with the statement that drops them', () => {
    const slots = [slot('c'), slot('sub', logical), slot('unused', { keepsWal: false })];
    const [remark, ...more] = remainingSlots({ slots }, 'a', 'is');
    expect(more).toEqual([]);
    expect(remark?.message).toMatch(/^a is a standby, .*: c \(physical\), sub \(logical\)$/);
    expect(remark?.hint).toMatch(
      /on a: SELECT pg_drop_replication_slot\('c'\), pg_drop_replication_slot\('sub'\)$/,
    );
    expect(remarksOn({ primary: { ...primary, slots: slots.slice(0, 1) } })).toEqual(
      remainingSlots({ slots: slots.slice(0, 1) }, 'a', 'will be'),
    );
  });

  test('as copies from an earlier primary cannot be dropped on a standby', () => {
    const slots = [slot('x', { ...logical, isCopy: true, isForFailover: true })];
    const [remark, ...more] = remainingSlots({ slots, syncsSlots: false }, 'a', 'will be');
    expect(more).toEqual([]);
    expect(remark?.hint).toContain('sync_replication_slots = on');
    expect(remarksOn({ primary: { ...primary, slots, syncsSlots: true } })).toHaveLength(1);
    expect(remainingSlots({ slots, syncsSlots: true }, 'a', 'will be')).toEqual([]);
  });
});

describe('pg_rewind of this host, should it fail later', () => {
  const rewind = (values: Readonly<Record<string, string>>, hasChecksums: boolean | undefined) =>
    remarksOn({ settings: new Map(Object.entries(values)), hasChecksums });

  test('needs checksums or hints', () => {
    expect(rewind({ wal_log_hints: 'off' }, true)).toEqual([]);
    expect(rewind({ wal_log_hints: 'on' }, false)).toEqual([]);
    expect(rewind({ wal_log_hints: 'off' }, undefined)).toEqual([]);
    expect(rewind({ wal_log_hints: 'off' }, false)).toEqual([
      {
        message:
          "if this host's server crashes as the primary, pg_rewind cannot bring it back, and --rejoin copies it anew: wal_log_hints is off and there are no data checksums",
        hint: 'To change that, here: ALTER SYSTEM SET wal_log_hints = on; then restart the server',
      },
    ]);
  });

  test('needs whole pages', () => {
    const [remark] = rewind({ wal_log_hints: 'off', full_page_writes: 'off' }, true);
    expect(remark?.message).toMatch(/: full_page_writes is off$/);
  });
});

test('an archive_command that is perhaps not cmd_archiver is said', () => {
  const archiving = {
    kind: 'known',
    archiving: { archiveMode: 'on', archiveCommand: 'ship %p', archiveLibrary: '' },
  } as const;
  const [remark, ...more] = remarksOn({ archiving });
  expect(more).toEqual([]);
  expect(remark?.message).toContain('archive_command is "ship %p": whether that runs cmd_archiver');
});

test.each([
  ['stopped', 'us', true],
  ['starting', 'us', true],
  ['recovering', 'us', true],
  ['production', 'us', false],
  ['stopped', 'another', false],
  ['stopped', undefined, false],
])('a primary that is %s, and was stopped for %s, is ours to finish: %s', (server, stoppedFor, isOurs) => {
  const facts = { primary: { server, stoppedFor }, publicName: 'us' } as unknown as BeforeFacts;
  expect(isStoppedForUs(facts)).toBe(isOurs);
});

test.each([true, false])(
  'the old primary may be started again unless the server here was asked to open: %s',
  (isOpening) => {
    const before = {} as unknown as BeforeFacts;
    expect(mayBePromoted({ before, isOpening })).toBe(isOpening);
    expect(mayBePromoted({ before: undefined, isOpening })).toBe(true);
  },
);

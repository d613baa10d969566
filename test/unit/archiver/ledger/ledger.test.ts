import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { showLedger } from '../../../../src/archiver/actions/ledger.ts';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import { laneOf } from '../../../../src/archiver/lane/lane.ts';
import { abandonLane, resumeLane } from '../../../../src/archiver/lane/modes.ts';
import { readLaneState } from '../../../../src/archiver/lane/state.ts';
import { layoutOf } from '../../../../src/archiver/layout.ts';
import {
  addLearned,
  isLedgerDue,
  lastNoted,
  noteEvent,
  noteStored,
  writeLedger,
} from '../../../../src/archiver/ledger/ledger.ts';
import { ledgerNames, readLedger } from '../../../../src/archiver/ledger/read.ts';
import { eventWords } from '../../../../src/archiver/ledger/words.ts';
import type { WalFile } from '../../../../src/archiver/wal/wal-file.ts';
import type { StandbyTarget } from '../../../../src/config/options-archiver.ts';
import { nameOf } from '../../../../src/postgres/lsn.ts';
import { parseWalName } from '../../../../src/postgres/wal-name.ts';
import { journalBytes } from '../../../../src/system/journal.ts';
import { textLog } from '../../../../src/system/log.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const mebibyte = 1024 * 1024;
const layout = { segmentSize: 16 * mebibyte, walSegmentSkipsFF: false };
const segment = (number: number, timeline = 1): string => nameOf(timeline, number, layout).text;

function fileOf(text: string, bytes = layout.segmentSize): WalFile {
  const name = parseWalName(text);
  if (name.kind === 'not-wal') throw new Error(name.reason);
  const identity = { device: 1n, inode: 1n, size: BigInt(bytes), mtimeNs: 1n };
  return { name, path: `/pg_wal/${text}`, identity };
}

/** A lane of a cluster with this version, and a clock that stands where it is put. */
function stage(version = '18') {
  const root = temporaryDirectory();
  const layoutHere = layoutOf(root);
  mkdirSync(layoutHere.privateDirectory);
  writeFileSync(join(root, 'PG_VERSION'), `${version}\n`);
  const clock = { ms: Date.UTC(2026, 10, 28, 10) };
  const standbys = [{ name: 's1' } as StandbyTarget];
  const said: string[] = [];
  const deps = {
    settings: { l_archivedir: root, pgdata: root, standbys, notify_reminder: 0 },
    layout: layoutHere,
    hostName: 'alpha',
    log: textLog({ debug: true }, (line) => said.push(line)),
    now: () => clock.ms,
    monotonicMs: () => clock.ms,
    moment: () => ({ boot: 'this', ms: clock.ms }),
    nonce: () => 'n',
    startHook: () => ({ ended: new Promise(() => undefined), leave: () => undefined }),
  } as unknown as ArchiverDeps;
  /** A lane as another process has it. */
  const lane = () => laneOf(layoutHere, { name: 's1' } as StandbyTarget);
  const deliver = async (names: readonly string[], one = lane()): Promise<void> => {
    noteStored(
      one.ledger,
      names.map((name) => fileOf(name)),
      clock.ms,
    );
    await writeLedger(deps, one);
  };
  const file = lane().ledgerFile;
  return {
    deps,
    lane,
    deliver,
    clock,
    said,
    file,
    events: `${file}@events`,
    read: () => readLedger(deps, 's1'),
  };
}

const numbers = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, index) => segment(from + index));

describe('delivered segments', () => {
  test('become one range, whichever process delivered them, with its first and last time', async () => {
    const { deliver, clock, read } = stage();
    await deliver(numbers(250, 3));
    clock.ms += 60_000;
    await deliver(numbers(253, 10));
    const { delivered, missing, refused } = await read();
    expect(delivered).toEqual([
      {
        timeline: 1,
        first: segment(250),
        last: segment(262),
        segments: 13,
        firstAt: '2026-11-28T10:00:00.000Z',
        lastAt: '2026-11-28T10:01:00.000Z',
        learned: 0,
      },
    ]);
    expect([missing, refused]).toEqual([[], []]);
  });

  test('of the skipped segment up to 9.2, and of another timeline, are counted right', async () => {
    const old = stage('9.2');
    await old.deliver(['0000000100000000000000FE', '000000010000000100000000']);
    expect(await old.read()).toMatchObject({ delivered: [{ segments: 2 }], missing: [] });
    const { deliver, read } = stage();
    await deliver(['0000000100000000000000FE', '000000010000000100000000', segment(256, 2)]);
    expect(await read()).toMatchObject({
      delivered: [{ segments: 1 }, { segments: 1 }, { timeline: 2, segments: 1 }],
      missing: [{ first: '0000000100000000000000FF', segments: 1, why: 'not recorded' }],
    });
  });

  test('in any order and again count once', async () => {
    const { deliver, clock, read } = stage();
    await deliver(numbers(10, 5));
    clock.ms += 1000;
    await deliver([segment(3), segment(20), segment(4), ...numbers(10, 5), segment(21)]);
    await deliver(numbers(5, 5));
    const { delivered } = await read();
    expect(delivered.map(({ first, last }) => [first, last])).toEqual([
      [segment(3), segment(14)],
      [segment(20), segment(21)],
    ]);
    expect(delivered[0]?.lastAt).toBe('2026-11-28T10:00:00.000Z');
  });

  test('of many ranges are all shown: those that rested longest are closed', async () => {
    const { deliver, read, file } = stage();
    for (let number = 0; number < 200; number += 2) await deliver([segment(number)]);
    expect((JSON.parse(readFileSync(file, 'utf8')) as { open: unknown[] }).open).toHaveLength(4);
    expect((await read()).delivered).toHaveLength(100);
    // One process fills the holes.
    await deliver(Array.from({ length: 100 }, (_, index) => segment(2 * index + 1)));
    expect((await read()).delivered).toMatchObject([{ segments: 200 }]);
  });

  test('are written every ten seconds while a process delivers', async () => {
    const { deps, lane, clock, file } = stage();
    const one = lane();
    expect(isLedgerDue(deps, one)).toBe(false);
    noteStored(one.ledger, [fileOf(segment(1))], clock.ms);
    expect(isLedgerDue(deps, one)).toBe(true);
    await writeLedger(deps, one);
    noteStored(one.ledger, [fileOf(segment(2))], clock.ms);
    clock.ms += 9_999;
    expect(isLedgerDue(deps, one)).toBe(false);
    clock.ms += 1;
    expect(isLedgerDue(deps, one)).toBe(true);
    expect(readFileSync(file, 'utf8')).not.toContain(segment(2));
  });
});

describe('a process that was killed', () => {
  test('leaves a tail that is learned from the standby, as far as it follows without a gap', async () => {
    const { deps, lane, deliver, clock, read } = stage();
    await deliver(numbers(1, 3));
    expect((await lastNoted(lane()))?.text).toBe(segment(3));
    clock.ms += 5_000;
    await addLearned(deps, lane(), new Set([segment(4), segment(5), segment(7)]));
    expect((await read()).delivered).toMatchObject([
      { last: segment(5), segments: 5, learned: 2, lastAt: '2026-11-28T10:00:05.000Z' },
    ]);
    await deliver([segment(8)]);
    expect((await read()).missing).toMatchObject([
      { first: segment(6), last: segment(7), why: 'not recorded' },
    ]);
  });

  test('or a full disk leaves a torn line, which is refused with its number; the rest is shown', async () => {
    const { deps, lane, deliver, read, events } = stage();
    for (const number of [1, 3, 5, 7, 9, 11]) await deliver([segment(number)]);
    const whole = readFileSync(events, 'utf8');
    writeFileSync(events, whole.slice(0, -20));
    await noteEvent(deps, lane(), { kind: 'gap-closed' });
    const { refused, delivered, events: shown } = await read();
    expect(refused).toMatchObject([{ file: events, line: 2 }]);
    expect(delivered).toHaveLength(5);
    expect(shown.map(({ kind }) => kind)).toEqual(['gap-closed']);
  });

  test.each([
    ['torn', '{"segmentSize": 16777'],
    ['empty', ''],
    ['foreign', '{"hello": 1}'],
    ['impossible', '{"segmentSize":3,"open":[],"named":[],"writtenAt":"2026-11-28T10:00:00.000Z"}'],
  ])('or a crash leaves a state that is %s: it is refused, and begun anew', async (_, content) => {
    const { deliver, read, file } = stage();
    for (const number of [1, 3, 5, 7, 9, 11]) await deliver([segment(number)]);
    writeFileSync(file, content);
    expect(await read()).toMatchObject({ refused: [{ file, line: 1 }], delivered: [{}, {}] });
    await deliver([segment(20)]);
    const after = await read();
    expect(after.refused).toEqual([]);
    expect(after.delivered.map(({ first }) => first)).toEqual([segment(1), segment(3), segment(20)]);
    expect(after.events.map(({ kind }) => kind)).toEqual(['damaged']);
  });

  test('or a state of the lane that is not understood is refused, and the deliveries are shown all the same', async () => {
    const { lane, deliver, read } = stage();
    await deliver(numbers(1, 3));
    const { stateFile } = lane();
    writeFileSync(stateFile, '{"health": "strange"}');
    expect(await read()).toMatchObject({
      delivered: [{ segments: 3 }],
      refused: [{ file: stateFile, line: 1, reason: expect.stringContaining('health') as string }],
    });
  });

  test.each([
    ['of another program', '{"at":"2026-11-28T10:00:00.000Z","kind":"money","host":"h","user":"u"}'],
    ['with a range that runs backwards', rangeLine(segment(5), segment(4))],
    ['with a range across timelines', rangeLine(segment(5), segment(6, 2))],
    ['with a path for a name', rangeLine('../../etc/passwd', segment(6))],
    ['without a time', '{"kind":"gap-closed","host":"h","user":"u"}'],
    ['that is no object', '[1]'],
  ])('a line %s is refused', async (_, line) => {
    const { deliver, read, events } = stage();
    await deliver([segment(1)]);
    writeFileSync(events, `${line}\n`);
    expect(await read()).toMatchObject({ refused: [{ line: 1 }], delivered: [{ segments: 1 }], events: [] });
  });
});

function rangeLine(first: string, last: string): string {
  const at = '2026-11-28T10:00:00.000Z';
  const range = { first, last, firstAt: at, lastAt: at };
  return JSON.stringify({ at, kind: 'range', segmentSize: layout.segmentSize, ...range });
}

describe('events', () => {
  test('an abandonment explains what was not delivered', async () => {
    const { deps, lane, deliver, read } = stage();
    await deliver(numbers(1, 2));
    await abandonLane(deps, lane(), { by: 'operator', names: [] });
    await abandonLane(deps, lane(), { by: 'operator', names: [segment(3), segment(4)] });
    expect((await read()).abandonment).toMatchObject({ firstLost: segment(3), lastLost: segment(4) });
    await resumeLane(deps, lane(), await readLaneState(lane()), 'a request');
    await deliver([segment(6)]);
    const { events, missing } = await read();
    expect(events.map(eventWords)).toEqual([
      'abandoned by the operator',
      `resumed by a base backup of the standby, lost: ${segment(3)} to ${segment(4)}`,
    ]);
    expect(events[0]).toMatchObject({ host: 'alpha' });
    expect(missing).toMatchObject([
      { first: segment(3), last: segment(4), why: 'abandoned' },
      { first: segment(5), last: segment(5), why: 'not recorded' },
    ]);
  });

  test.each([
    ['begins with a history file', ['00000002.history', segment(3, 2), segment(4, 2)]],
    [
      'ends with the file of a base backup',
      [3, 4].map((number) => segment(number, 2)).concat(`${segment(4, 2)}.00000028.backup`),
    ],
  ])('so does one of which the lost WAL %s', async (_, names) => {
    const { deps, lane, deliver, read } = stage();
    await deliver([segment(2, 2)]);
    await abandonLane(deps, lane(), { by: 'operator', names });
    await resumeLane(deps, lane(), await readLaneState(lane()), 'a request');
    await deliver([segment(5, 2)]);
    expect((await read()).missing).toMatchObject([
      { first: segment(3, 2), last: segment(4, 2), why: 'abandoned' },
    ]);
  });

  test('an abandonment across promotions explains the rest of the old timelines, and the beginning of the new one', async () => {
    const { deps, lane, deliver, read } = stage();
    await deliver([segment(1), segment(2)]);
    const names = [segment(3), '00000003.history', segment(8, 3), segment(9, 3)];
    await abandonLane(deps, lane(), { by: 'operator', names });
    await resumeLane(deps, lane(), await readLaneState(lane()), 'a request');
    await deliver([segment(10, 3)]);
    // Without a history file nothing shows where timeline 3 begins.
    expect((await read()).missing).toEqual([]);
    const directory = join(deps.settings.pgdata, 'pg_wal');
    mkdirSync(directory);
    writeFileSync(join(directory, '00000003.history'), '1\t0/5000100\tx\n2\t0/7000100\tx\n');
    expect((await read()).missing).toEqual([
      { timeline: 1, first: segment(3), last: segment(4), segments: 2, why: 'abandoned' },
      { timeline: 2, first: segment(5, 2), last: segment(6, 2), segments: 2, why: 'abandoned' },
      { timeline: 3, first: segment(7, 3), last: segment(9, 3), segments: 3, why: 'abandoned' },
    ]);
  });

  test('what another host delivered between two timelines of this one is not missed', async () => {
    const { deps, deliver, read } = stage();
    await deliver([segment(1), segment(2)]);
    await deliver([segment(9, 3)]);
    const directory = join(deps.settings.pgdata, 'pg_wal');
    mkdirSync(directory);
    writeFileSync(join(directory, '00000003.history'), '1\t0/3000100\tx\n2\t0/9000100\tx\n');
    expect((await read()).missing).toEqual([]);
  });

  test('files with names of their own are noted once', async () => {
    const { deliver, read } = stage();
    await deliver(['00000002.history', `${segment(3)}.00000028.backup`, `${segment(3)}.partial`]);
    await deliver(['00000002.history']);
    expect((await read()).events.map(({ kind }) => kind)).toEqual(['timeline', 'backup-ended', 'partial']);
  });
});

describe('a ledger', () => {
  test(
    'of a million segments with a hundred abandonments stays below 1 MB',
    { timeout: 60_000 },
    async () => {
      const { deps, lane, clock, read, file } = stage();
      const one = lane();
      let number = 0;
      for (let each = 0; each < 100; each++) {
        for (let written = 0; written < 10; written++) {
          const files = Array.from({ length: 1000 }, () => fileOf(segment(number++)));
          noteStored(one.ledger, files, clock.ms);
          clock.ms += 10_000;
          await writeLedger(deps, one);
        }
        await noteEvent(deps, one, {
          kind: 'abandoned',
          by: 'policy',
          first: segment(number),
          last: segment(number),
        });
        number += 1;
      }
      const { delivered, missing } = await read();
      expect(delivered.reduce((sum, { segments }) => sum + segments, 0)).toBe(1_000_000);
      expect(delivered).toHaveLength(100);
      expect(missing.every(({ why }) => why === 'abandoned')).toBe(true);
      expect(sizeOf(file)).toBeLessThan(200_000);
    },
  );

  test('with a gap after every segment is bounded: the oldest entries are removed, and that is said', async () => {
    const { deps, lane, clock, read, file } = stage();
    const one = lane();
    for (let number = 0; number < 10_000; number += 100) {
      const files = Array.from({ length: 100 }, (_, index) => fileOf(segment(2 * (number + index))));
      noteStored(one.ledger, files, clock.ms);
      await writeLedger(deps, one);
    }
    const { isCut, delivered, refused } = await read();
    expect(isCut).toBe(true);
    expect(refused).toEqual([]);
    expect(delivered.at(-1)?.last).toBe(segment(19_998));
    expect(sizeOf(file)).toBeLessThan(2 * journalBytes + 50_000);
  });

  test('that cannot be written stops nothing, and what was delivered is written later', async () => {
    const { deps, lane, clock, said, read } = stage();
    const one = lane();
    writeFileSync(one.ledgerDirectory, 'in the way');
    noteStored(one.ledger, [fileOf(segment(1))], clock.ms);
    await writeLedger(deps, one);
    await noteEvent(deps, one, { kind: 'gap-closed' });
    expect(said.join('')).toContain('cannot write the ledger');
    expect(one.ledger.pending).toHaveLength(1);
    const { rmSync } = await import('node:fs');
    rmSync(one.ledgerDirectory);
    await writeLedger(deps, one);
    expect((await read()).delivered).toMatchObject([{ segments: 1 }]);
  });

  test('of a standby that is no longer in slaves is still found', async () => {
    const { deps, deliver, clock } = stage();
    await deliver([segment(1)]);
    const other = laneOf(deps.layout, { name: 'x.events' } as StandbyTarget);
    noteStored(other.ledger, [fileOf(segment(1))], clock.ms);
    await writeLedger(deps, other);
    expect(await ledgerNames(deps)).toEqual(['s1', 'x.events']);
    expect((await readLedger(deps, 'x.events')).isServed).toBe(false);
  });
});

/** All files of a ledger together. */
function sizeOf(file: string): number {
  const directory = join(file, '..');
  return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}

test('--ledger says of a standby without a ledger that nothing is recorded', async () => {
  const { deps } = stage();
  const reports: string[] = [];
  const reporting = { ...deps, report: (line: string) => reports.push(line) } as unknown as ArchiverDeps;
  expect(await showLedger(reporting, { standby: undefined, json: false })).toBe(0);
  expect(reports).toEqual(['Standby s1 (nothing is recorded)']);
});

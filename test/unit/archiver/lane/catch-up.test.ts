import { mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Delivery } from '../../../../src/archiver/delivery/delivery.ts';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import { makeFrame } from '../../../../src/archiver/frames/frame.ts';
import {
  type CatchUp,
  endPass,
  isProofInForce,
  lackOf,
  owesCatchUp,
  proofOf,
  takeHoldings,
} from '../../../../src/archiver/lane/catch-up.ts';
import { nextCatchUpBatch, sendCatchUpBatch } from '../../../../src/archiver/lane/catch-up-batch.ts';
import type { Lane } from '../../../../src/archiver/lane/lane.ts';
import { describeLack } from '../../../../src/archiver/lane/state.ts';
import { layoutOf } from '../../../../src/archiver/layout.ts';
import { lookForOwnArchive } from '../../../../src/archiver/wal/own-archive.ts';
import { parseHistory } from '../../../../src/postgres/history.ts';
import { nameOf } from '../../../../src/postgres/lsn.ts';
import { historyName } from '../../../../src/postgres/wal-name.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { buildWal } from '../../../harness/wal.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { walFile } from '../wal-fixture.ts';

const layout = { segmentSize: 1024 * 1024, walSegmentSkipsFF: false };
const names = [3, 4, 5].map((number) => nameOf(1, number, layout));

function catchUp(changes: Partial<CatchUp> = {}): CatchUp {
  return {
    own: { directory: '/nowhere', layout, timeline: 1, histories: new Map(), end: 9, run: '7' },
    token: 'token',
    cluster: { systemIdentifier: '42', timeline: 1, isInRecovery: false },
    directories: [],
    from: 0n,
    incompleteFrom: undefined,
    pending: [],
    sent: 0,
    coming: 0,
    waits: 0,
    sentNames: new Set(),
    missing: [],
    missedBefore: new Set(),
    gap: [],
    conflicts: new Map(),
    unread: new Map(),
    ...changes,
  };
}

/** A lane whose proof this token can end. */
function laneWith(token?: string): Lane {
  const proofFile = join(temporaryDirectory(), 's1.proof');
  if (token !== undefined) writeFileSync(proofFile, token);
  return { proofFile } as Lane;
}

const history = (lsn: string) => new Map([[2, parseHistory(`1\t${lsn}\tx\n`, '00000002.history')]]);

describe('a standby must be asked', () => {
  const own = { ...catchUp().own, timeline: 2, histories: history('0/5000060') };
  const proof = proofOf(catchUp({ own }));
  const gap = { missing: [], since: '' };

  test.each([
    ['when nothing is known', {}, true],
    ['when this server writes another timeline now', { caughtUp: { ...proof, timeline: 1, fork: '' } }, true],
    [
      'when the number of its timeline was used before',
      { caughtUp: { ...proof, fork: '1 0/4000060' } },
      true,
    ],
    ['when the server was started again', { caughtUp: { ...proof, run: '6' } }, true],
    ['when its proof was withdrawn, and another begun', { caughtUp: { ...proof, token: 'other' } }, true],
    ['as long as there is a gap', { caughtUp: proof, gap }, true],
    ['as long as it has no data', { caughtUp: { ...proof, hasNoData: true } }, true],
    ['no more, once it has everything', { caughtUp: proof }, false],
  ])('%s', async (_, state, expected) => {
    expect(await owesCatchUp(laneWith('token'), { health: 'ok', ...state }, own)).toBe(expected);
  });

  test('when its proof was withdrawn', async () => {
    expect(await owesCatchUp(laneWith(), { health: 'ok', caughtUp: proof }, own)).toBe(true);
  });

  test('as soon as the server is started again, or the proof is withdrawn', async () => {
    const pgdata = temporaryDirectory();
    const options = join(pgdata, 'postmaster.opts');
    writeFileSync(options, '');
    utimesSync(options, 5, 5);
    const lane = laneWith('token');
    const state = { health: 'ok', caughtUp: { ...proof, run: '5000000000' } } as const;
    expect(await isProofInForce(lane, state, pgdata)).toBe(true);
    utimesSync(options, 5, 6);
    expect(await isProofInForce(lane, state, pgdata)).toBe(false);
    utimesSync(options, 5, 5);
    rmSync(lane.proofFile);
    expect(await isProofInForce(lane, state, pgdata)).toBe(false);
  });
});

describe('a file that the standby has, but that is not what its name says', () => {
  const there = (present: readonly string[], faulty: readonly (readonly [string, string])[]) => ({
    restartpoint: { timeline: 1, lsn: 0x300000n },
    names: new Set(present),
    own: new Set<string>(),
    faulty: new Map(faulty),
    incompleteFrom: undefined,
  });
  const [third = nameOf(1, 3, layout), fourth = third] = names;

  test('is not sent, and stays a conflict until the standby has the right one', () => {
    const run = catchUp({ own: { ...catchUp().own, end: 5 } });
    expect(takeHoldings(run, there([], [[fourth.text, 'it is empty']]))).toBeUndefined();
    expect(run.pending?.map(({ name }) => name.text)).toEqual([third.text]);
    expect(endPass(run)).toEqual({ kind: 'caught-up' });
    expect(lackOf(run)).toEqual({ missing: [], conflicts: [{ name: fourth.text, reason: 'it is empty' }] });
    takeHoldings(run, there([third.text, fourth.text], []));
    expect(lackOf(run)).toEqual({ missing: [], conflicts: [] });
  });

  test('is no conflict if the standby does not need it', () => {
    const run = catchUp({ own: { ...catchUp().own, end: 5 } });
    takeHoldings(run, there([third.text, fourth.text], [['000000010000000000000009', 'it is empty']]));
    expect(lackOf(run).conflicts).toEqual([]);
  });
});

describe('at the end of a pass', () => {
  test('it is asked again whether it has what was sent', () => {
    expect(endPass(catchUp({ sent: 1 }))).toEqual({ kind: 'ask-again' });
  });

  test('what is nowhere is a gap only if it is still nowhere in the next pass', () => {
    const run = catchUp({ missing: names });
    expect(endPass(run)).toEqual({ kind: 'ask-again' });
    run.missing = names.slice(0, 2);
    expect(endPass(run)).toEqual({ kind: 'caught-up' });
    expect(run.gap).toEqual(names.slice(0, 2));
  });

  test('another missing file is looked for once more', () => {
    const run = catchUp({ missing: names.slice(0, 1) });
    endPass(run);
    run.missing = names.slice(1, 2);
    expect(endPass(run)).toEqual({ kind: 'ask-again' });
  });

  test('what comes by itself is waited for', () => {
    expect(endPass(catchUp({ coming: 2 }))).toEqual({ kind: 'wait' });
  });

  test('a limited answer is continued where it ended', () => {
    const run = catchUp({
      incompleteFrom: 77n,
      missing: names,
      missedBefore: new Set(names.map(({ text }) => text)),
    });
    expect(endPass(run)).toEqual({ kind: 'ask-again' });
    expect(run.from).toBe(77n);
    run.missing = [];
    run.incompleteFrom = undefined;
    expect(endPass(run)).toEqual({ kind: 'caught-up' });
    expect(run.gap).toEqual(names);
  });
});

describe('a batch', () => {
  const text = '1\t0/5000060\tx\n';
  function place() {
    const root = temporaryDirectory();
    const directory = join(root, 'pg_wal');
    const archive = join(root, 'archive');
    const queue = join(root, 'queue');
    for (const each of [directory, join(directory, 'archive_status'), archive, queue]) mkdirSync(each);
    const lane = { queue } as Lane;
    const deps = { settings: { pgdata: root } } as unknown as ArchiverDeps;
    const run = catchUp({
      own: { directory, layout, timeline: 4, histories: new Map(), end: 9, run: '7' },
      directories: [directory, archive],
      pending: [2, 3, 4].map((timeline) => ({ name: historyName(timeline), isOptional: timeline === 2 })),
    });
    const next = async (files = 10) => {
      const batch = await nextCatchUpBatch(deps, lane, run, { files, bytes: 1e9 });
      return batch && { from: batch.directory, names: batch.files.map(({ name }) => name.text) };
    };
    return { directory, archive, queue, run, next };
  }

  test('holds files of one directory, and pg_wal comes first', async () => {
    const { directory, archive, next } = place();
    writeFileSync(join(directory, '00000002.history'), text);
    writeFileSync(join(archive, '00000002.history'), text);
    writeFileSync(join(archive, '00000003.history'), text);
    writeFileSync(join(archive, '00000004.history'), text);
    expect(await next()).toEqual({ from: directory, names: ['00000002.history'] });
    expect(await next(1)).toEqual({ from: archive, names: ['00000003.history'] });
    expect(await next()).toEqual({ from: archive, names: ['00000004.history'] });
    expect(await next()).toBeUndefined();
  });

  test('leaves out what the queue holds and what PostgreSQL has ready', async () => {
    const { directory, queue, run, next } = place();
    for (const name of ['2', '3', '4']) writeFileSync(join(directory, `0000000${name}.history`), text);
    writeFileSync(join(queue, '00000002.history'), text);
    writeFileSync(join(directory, 'archive_status', '00000003.history.ready'), '');
    expect(await next()).toEqual({ from: directory, names: ['00000004.history'] });
    expect(run.coming).toBe(2);
  });

  test('does not wait for ever for a server whose archiving is off', async () => {
    const { directory, run, next } = place();
    writeFileSync(join(directory, '00000003.history'), text);
    writeFileSync(join(directory, 'archive_status', '00000003.history.ready'), '');
    const pending = run.pending;
    for (let each = 0; each < 3; each++) {
      run.pending = pending;
      run.coming = 0;
      run.missing = [];
      expect(await next()).toBeUndefined();
      run.missedBefore = new Set(['00000004.history']);
      expect(endPass(run)).toEqual({ kind: 'wait' });
    }
    run.pending = pending;
    expect(await next()).toEqual({ from: directory, names: ['00000003.history'] });
  });

  test('notes what is nowhere, unless the standby can do without it', async () => {
    const { run, next } = place();
    expect(await next()).toBeUndefined();
    expect(run.missing.map((name) => name.text)).toEqual(['00000003.history', '00000004.history']);
  });

  test('never takes a recycled file, which is another segment under this name', async () => {
    const { directory, run, next } = place();
    const [name] = names;
    if (name === undefined) throw new Error('no name');
    run.pending = [{ name, isOptional: false }];
    writeFileSync(join(directory, name.text), Buffer.alloc(layout.segmentSize));
    expect(await next()).toBeUndefined();
    expect(run.missing).toEqual([name]);
  });
});

describe('WAL that was not found where not everything can be read', () => {
  const [name = nameOf(1, 3, layout)] = names;

  async function searched(changes: Partial<CatchUp>) {
    const root = temporaryDirectory();
    const directory = join(root, 'pg_wal');
    mkdirSync(directory);
    const pending = [{ name, isOptional: false }];
    const run = catchUp({
      directories: [directory],
      pending,
      missedBefore: new Set([name.text]),
      ...changes,
    });
    // It is there, and reading it fails, as on a bad block.
    if (changes.unseenArchive === undefined) mkdirSync(join(directory, name.text));
    const deps = { settings: { pgdata: root } } as ArchiverDeps;
    const next = () => nextCatchUpBatch(deps, { queue: '/q' } as Lane, run, { files: 9, bytes: 9e9 });
    expect(await next()).toBeUndefined();
    expect(endPass(run)).toEqual({ kind: 'caught-up' });
    return lackOf(run);
  }

  test.each([
    ['its own file', {}, 'EISDIR'],
    ['the archive of this host', { unseenArchive: 'cannot read "/etc/x.ini"' }, 'cannot read "/etc/x.ini"'],
  ])('is not said to exist nowhere: %s', async (_, changes, reason) => {
    const lack = await searched(changes);
    expect(lack.missing).toEqual([{ first: name.text, last: name.text }]);
    const [sentence] = describeLack(lack);
    expect(sentence).toContain(reason);
    expect(sentence).toContain('were not found here');
    expect(sentence).not.toContain('exist nowhere');
  });

  test('an archive of which nothing is known is no lack where nothing is missing', () => {
    expect(lackOf(catchUp({ unseenArchive: 'cannot read' }))).toEqual({ missing: [], conflicts: [] });
  });
});

describe('the archive that this host had as a standby', () => {
  const look = (iniFile: string) => {
    const deps = { settings: {}, iniFile, log: { debug: () => undefined } } as unknown as ArchiverDeps;
    return lookForOwnArchive(deps, { systemIdentifier: '42', timeline: 1, isInRecovery: false });
  };

  test('is none where there is no cmd_standby.ini, and unknown where that cannot be understood', async () => {
    const root = temporaryDirectory();
    expect(await look(join(root, 'cmd_archiver.ini'))).toEqual({ kind: 'none' });
    writeFileSync(join(root, 'cmd_standby.ini'), '[DEFAULT]\narchivdir: /a\n');
    expect(await look(join(root, 'cmd_archiver.ini'))).toMatchObject({ kind: 'unknown' });
  });
});

test('while this host is a standby, a file in the queue does not come by itself: it is sent from there', async () => {
  const root = temporaryDirectory();
  const [archive, queue] = [join(root, 'archive'), join(root, 's1')];
  const name = historyName(2);
  for (const each of [archive, queue]) mkdirSync(each);
  writeFileSync(join(queue, name.text), '1\t0/1\tx\n');
  const cluster = { systemIdentifier: '42', timeline: 2, isInRecovery: false, relayedFrom: archive };
  const run = catchUp({ cluster, directories: [archive, queue], pending: [{ name, isOptional: false }] });
  const deps = { settings: { pgdata: root } } as ArchiverDeps;
  const batch = await nextCatchUpBatch(deps, { queue } as Lane, run, { files: 9, bytes: 9e9 });
  expect(batch?.files.map(({ path }) => path)).toEqual([join(queue, name.text)]);
  expect(run.coming).toBe(0);
});

describe('while this host is a standby, a compressed file in the queue', () => {
  const [name = nameOf(1, 3, layout)] = names;
  const bytes = buildWal({
    name: name.text,
    systemIdentifier: 42n,
    version: '15',
    segmentBytes: layout.segmentSize,
  }).fill(0, layout.segmentSize / 2);

  async function relaying(includepath: readonly string[] = []) {
    const root = temporaryDirectory();
    const [archive, queue] = [join(root, 'archive'), join(root, 's1')];
    for (const each of [archive, queue]) mkdirSync(each);
    const file = await walFile(join(root, 'before'), name.text, bytes);
    const frame = join(queue, `${name.text}.zst`);
    expect(await makeFrame({ run: runCommand, zstd: 'zstd' }, file, frame)).toMatchObject({ kind: 'frame' });
    const warnings: string[] = [];
    const deps = {
      run: runCommand,
      settings: { pgdata: root, includepath },
      layout: layoutOf(root),
      pid: 7,
      nonce: () => 'n',
      log: { warning: (message: string) => warnings.push(message) },
    } as unknown as ArchiverDeps;
    mkdirSync(deps.layout.privateDirectory);
    const cluster = { systemIdentifier: '42', timeline: 1, isInRecovery: false, relayedFrom: archive };
    const pending = [{ name, isOptional: false }];
    const run = catchUp({ cluster, directories: [archive, queue], pending });
    const next = () => nextCatchUpBatch(deps, { queue, name: 's1' } as Lane, run, { files: 9, bytes: 9e9 });
    return { root, frame, deps, run, next, warnings };
  }

  test('is sent unpacked, and is no gap', async () => {
    const { root, deps, run, next } = await relaying();
    const batch = await next();
    if (batch === undefined) throw new Error('there is no batch');
    expect(batch.files.map(({ name: sent }) => sent.text)).toEqual([name.text]);
    expect(readFileSync(batch.files[0]?.path ?? '').equals(bytes)).toBe(true);
    expect([run.pending, run.missing]).toEqual([[], []]);
    const forbidden = { kind: 'not-leader', reason: 'no' } as const;
    const delivery = { mayDeliver: () => Promise.resolve(forbidden) } as unknown as Delivery;
    expect(await sendCatchUpBatch(deps, delivery, run, batch, 9)).toMatchObject({ trouble: forbidden });
    expect(readdirSync(join(root, '.archiver', 'unpacked'))).toEqual([]);
  });

  test('that is damaged is said to be so, and is missing', async () => {
    const { frame, run, next, warnings } = await relaying();
    writeFileSync(frame, 'no frame at all, but long enough');
    expect(await next()).toBeUndefined();
    expect(run.missing).toEqual([name]);
    expect(warnings).toEqual([expect.stringContaining('is damaged')]);
  });

  test('of another cluster is not sent', async () => {
    const { root, run, next, warnings } = await relaying();
    Object.assign(run, { cluster: { ...run.cluster, systemIdentifier: '43' } });
    expect(await next()).toBeUndefined();
    expect(run.missing).toEqual([name]);
    expect(warnings).toEqual([expect.stringContaining('is refused')]);
    expect(readdirSync(join(root, '.archiver', 'unpacked'))).toEqual([]);
  });
});

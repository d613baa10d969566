import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseLsn } from '../../../../src/postgres/lsn.ts';
import { checkLeft, listAside, markLeft, unmarkLeft } from '../../../../src/standby/archive/mark-left.ts';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { formatSentinel, readSentinel, updateSentinel } from '../../../../src/system/sentinel.ts';
import { buildWal } from '../../../harness/wal.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const cluster = '7300000000000000001';
const segmentBytes = 1024 * 1024;
const [before, fork, behind] = ['4F', '50', '51'].map((seg) => `0000000100000000000000${seg}`) as [
  string,
  string,
  string,
];
const next = '000000020000000000000050';
const mark = { timeline: 1, lsn: parseLsn('0/5000060'), host: 'beta', cluster };

function build(archive: string, name: string, seed = 1): void {
  const bytes = buildWal({ name, systemIdentifier: BigInt(cluster), version: '15', segmentBytes, seed });
  writeFileSync(join(archive, name), bytes);
}

/** An archive with WAL on both sides of a fork, and the outside world of a verb there. */
function prepare() {
  const archive = temporaryDirectory();
  const sentinel = {
    systemIdentifier: cluster,
    standby: 's',
    primaryPgdata: undefined,
    promotedAtTimeline: undefined,
    left: [],
  };
  writeFileSync(join(archive, '.pitrtools'), formatSentinel(sentinel));
  for (const name of [before, fork, behind, next]) build(archive, name);
  for (const name of [`${behind}.partial`, `${fork}.00000028.backup`, '00000001.history', '.hidden'])
    writeFileSync(join(archive, name), '');
  let nonces = 0;
  const silent = () => undefined;
  const deps = {
    settings: { archivedir: archive, pgdata: join(archive, 'none') },
    run: runCommand,
    now: () => 0,
    nonce: () => `n${(nonces += 1)}`,
    log: { debug: silent, notice: silent, warning: silent },
  } as unknown as StandbyDeps;
  return { archive, deps };
}

function segmentsIn(directory: string): string[] {
  return readdirSync(directory).filter((name) => /^[0-9A-F]{24}$/.test(name));
}

describe('marking a timeline as left', () => {
  test('moves the segments past the fork aside, and only these', async () => {
    const { archive, deps } = prepare();
    const answer = await markLeft(deps, mark);
    expect(answer).toMatchObject({ mark: '1 0/5000060 beta', standing: 'before', moved: [fork, behind] });
    expect(segmentsIn(archive).sort()).toEqual([before, next]);
    expect(existsSync(join(archive, `${behind}.partial`))).toBe(true);
    expect(answer.aside.map((entry) => entry.split('/')[1])).toEqual([fork, behind]);
    for (const entry of answer.aside) expect(existsSync(join(archive, entry))).toBe(true);
    expect((await readSentinel(archive))?.left).toEqual([{ timeline: 1, lsn: mark.lsn, by: 'beta' }]);
  });

  test('is harmless when repeated, and finds what came meanwhile', async () => {
    const { archive, deps } = prepare();
    const first = await markLeft(deps, mark);
    expect(await markLeft(deps, mark)).toEqual({ ...first, moved: [] });
    build(archive, behind, 2);
    const third = await markLeft(deps, mark);
    expect(third.moved).toEqual([behind]);
    // Nothing that lies aside is overwritten.
    expect(third.aside).toHaveLength(3);
  });

  test('after a kill between the mark and the files, the next call moves them', async () => {
    const { archive, deps } = prepare();
    const killed = {
      ...deps,
      nonce: () => {
        throw new Error('killed');
      },
    };
    await expect(markLeft(killed, mark)).rejects.toThrow('killed');
    expect((await readSentinel(archive))?.left).toHaveLength(1);
    expect(segmentsIn(archive)).toContain(fork);
    expect((await markLeft(deps, mark)).moved).toEqual([fork, behind]);
  });

  test('of another cluster is refused, and nothing is changed', async () => {
    const { archive, deps } = prepare();
    await expect(markLeft(deps, { ...mark, cluster: '2' })).rejects.toThrow(
      /a standby of cluster 7300000000000000001, not of 2/,
    );
    expect((await readSentinel(archive))?.left).toEqual([]);
    expect(segmentsIn(archive)).toContain(fork);
  });

  test('an earlier location stays in force', async () => {
    const { archive, deps } = prepare();
    await markLeft(deps, mark);
    const answer = await markLeft(deps, { ...mark, lsn: parseLsn('0/9000000') });
    expect(answer.mark).toBe('1 0/5000060 beta');
    expect(segmentsIn(archive)).not.toContain(behind);
  });
});

describe('a standby that was seen past the fork', () => {
  const diverged = [{ timeline: 1, lsn: mark.lsn, by: 'beta' }];

  async function prepareDiverged() {
    const { archive, deps } = prepare();
    await markLeft(deps, mark);
    await updateSentinel(runCommand, archive, (before) => {
      if (before === undefined) throw new Error('no sentinel');
      return { ...before, diverged };
    });
    return { archive, deps };
  }

  test('has not diverged any more once its data show that', async () => {
    const { archive, deps } = await prepareDiverged();
    expect((await readSentinel(archive))?.diverged).toEqual(diverged);
    expect(await checkLeft(deps, { timeline: 1, cluster })).toMatchObject({ standing: 'before' });
    expect((await readSentinel(archive))?.diverged).toBeUndefined();
    expect((await readSentinel(archive))?.left).toEqual(diverged);
  });

  test('has not diverged from a timeline that was not left', async () => {
    const { archive, deps } = await prepareDiverged();
    await unmarkLeft(deps, { timeline: 1, cluster });
    expect(await readSentinel(archive)).toMatchObject({ left: [] });
    expect((await readSentinel(archive))?.diverged).toBeUndefined();
  });
});

describe('taking the mark back', () => {
  test('puts the files back where they were', async () => {
    const { archive, deps } = prepare();
    const names = readdirSync(archive).sort();
    const bytes = readFileSync(join(archive, fork));
    await markLeft(deps, mark);
    expect(await unmarkLeft(deps, { timeline: 1, cluster })).toEqual({
      mark: '1 0/5000060 beta',
      returned: [fork, behind],
      kept: [],
    });
    expect(
      readdirSync(archive)
        .filter((name) => name !== '.pitrtools.lock' && !name.startsWith('.cmd_standby.history'))
        .sort(),
    ).toEqual(names);
    expect(readFileSync(join(archive, fork)).equals(bytes)).toBe(true);
    expect((await readSentinel(archive))?.left).toEqual([]);
  });

  test('never replaces other bytes, and says what stays aside', async () => {
    const { archive, deps } = prepare();
    const { aside } = await markLeft(deps, mark);
    build(archive, fork, 2);
    const other = readFileSync(join(archive, fork));
    const answer = await unmarkLeft(deps, { timeline: 1, cluster });
    expect(answer.returned).toEqual([behind]);
    expect(answer.kept).toEqual([aside[0]]);
    expect(readFileSync(join(archive, fork)).equals(other)).toBe(true);
    expect(existsSync(join(archive, aside[0] ?? ''))).toBe(true);
  });

  test('ends well where an earlier call was killed between link and removal, and without a mark', async () => {
    const { archive, deps } = prepare();
    mkdirSync(join(archive, '.left-1-x'));
    writeFileSync(join(archive, '.left-1-x', fork), readFileSync(join(archive, fork)));
    expect(await unmarkLeft(deps, { timeline: 1, cluster })).toEqual({ returned: [fork], kept: [] });
    expect(existsSync(join(archive, '.left-1-x'))).toBe(false);
  });
});

test('what lies aside is listed while a mark that is taken back removes the directories', async () => {
  const archive = temporaryDirectory();
  const directories = Array.from({ length: 500 }, (_, index) => join(archive, `.left-1-${index}`));
  for (const directory of directories) mkdirSync(directory);
  const listed = listAside(archive, 1);
  // The list of the directories is read by another thread at once.
  for (const directory of directories.reverse()) rmdirSync(directory);
  expect(await listed).toEqual([]);
});

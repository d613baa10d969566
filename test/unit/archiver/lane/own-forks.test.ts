import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import { contradicted, readOwnLeft } from '../../../../src/archiver/lane/own-forks.ts';
import { parseLsn } from '../../../../src/postgres/lsn.ts';
import { writeLeftMarks } from '../../../../src/system/left-marks.ts';
import { buildWal } from '../../../harness/wal.ts';
import { controlFile, someIdentifier } from '../../postgres/fixtures/build.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const mark = { timeline: 1, lsn: parseLsn('0/800060'), by: 'beta' };

interface Server {
  /** According to pg_control. */
  readonly timeline?: number;
  readonly segments?: readonly string[];
  readonly histories?: Readonly<Record<string, string>>;
}

/** A server with that WAL, on a host where a promotion left `mark`. */
async function hostOf({ timeline = 1, segments = [], histories = {} }: Server): Promise<ArchiverDeps> {
  const [pgdata, root] = [temporaryDirectory(), temporaryDirectory()];
  for (const directory of ['global', 'pg_wal']) mkdirSync(join(pgdata, directory));
  const fields = { controlVersion: 1300, catalogVersion: 1, state: 6, redo: 0x100028n } as const;
  writeFileSync(
    join(pgdata, 'global', 'pg_control'),
    controlFile({ ...fields, timeline, checksum: 'crc32c' }),
  );
  writeFileSync(join(pgdata, 'PG_VERSION'), '15\n');
  for (const name of segments) {
    const size = { version: '15', segmentBytes: 1024 * 1024 } as const;
    writeFileSync(
      join(pgdata, 'pg_wal', name),
      buildWal({ name, systemIdentifier: someIdentifier, ...size }),
    );
  }
  for (const [name, text] of Object.entries(histories)) writeFileSync(join(pgdata, 'pg_wal', name), text);
  await writeLeftMarks(root, [mark]);
  return { settings: { pgdata }, layout: { root }, hostName: 'gamma' } as unknown as ArchiverDeps;
}

const cluster = { systemIdentifier: someIdentifier.toString(), timeline: 1, isInRecovery: false };
const promoted = '000000020000000000000008';

describe('a mark of this host', () => {
  test.each([
    ['there', '0/800060'],
    ['earlier', '0/700000'],
  ])('counts if the history of its server left that timeline %s', async (_, lsn) => {
    // There was no checkpoint since the promotion.
    const deps = await hostOf({ segments: [promoted], histories: { '00000002.history': `1\t${lsn}\tx\n` } });
    expect(await readOwnLeft(deps, cluster, { left: [] })).toEqual({
      forks: [{ timeline: 1, lsn: parseLsn(lsn), by: 'gamma' }],
      declared: [mark],
      unconfirmed: [],
      unknown: undefined,
    });
  });

  test.each([
    [
      'left it only later',
      { segments: [promoted], histories: { '00000002.history': '1\t0/900000\tx\n' } },
      /left that timeline only later \(timeline 1 was left at 0\/900000 by gamma\): that mark is ignored/,
    ],
    [
      'never left it, although it knows of a branch',
      { segments: ['000000010000000000000009'], histories: { '00000002.history': '1\t0/700000\tx\n' } },
      /is on timeline 1, and its history did not leave that timeline/,
    ],
    ['cannot be determined', { timeline: 2 }, /there is no 00000002.history, although .* on timeline 2/],
    [
      'cannot be read',
      { timeline: 2, histories: { '00000002.history': 'nonsense\n' } },
      /00000002.history cannot be read/,
    ],
  ])('does not count if the history %s', async (what, server, reason) => {
    const own = await readOwnLeft(await hostOf(server), cluster, { left: [] });
    expect(own).toMatchObject({ declared: [], unconfirmed: [{ mark }] });
    expect(own?.unconfirmed[0]?.message).toMatch(reason);
    expect(own?.unknown !== undefined).toBe(what.startsWith('cannot'));
  });

  test('does not count in recovery, and is not looked at', async () => {
    const deps = await hostOf({
      segments: [promoted],
      histories: { '00000002.history': '1\t0/800060\tx\n' },
    });
    expect(await readOwnLeft(deps, { ...cluster, isInRecovery: true }, { left: [] })).toBeUndefined();
  });
});

describe("the leader of Patroni's cluster", () => {
  const withPatroni = async (server: Server): Promise<ArchiverDeps> => {
    const deps = await hostOf(server);
    return { ...deps, settings: { ...deps.settings, patroni_url: 'http://127.0.0.1:8008' } };
  };
  const two = { '00000002.history': '1\t0/900000\tx\n' };
  const fork = { timeline: 1, lsn: parseLsn('0/900000'), by: 'gamma' };

  test('declares left what its own history has left, whatever a file says', async () => {
    const deps = await withPatroni({ segments: [promoted], histories: two });
    const own = await readOwnLeft(deps, cluster, { left: [] });
    expect(own).toEqual({ forks: [fork], leads: 2, declared: [fork], unconfirmed: [], unknown: undefined });
  });

  test('has left nothing on the first timeline', async () => {
    const deps = await withPatroni({ segments: ['000000010000000000000009'] });
    expect(await readOwnLeft(deps, cluster, { left: [] })).toMatchObject({ leads: 1, declared: [] });
  });

  test('delivers nothing while its history cannot be determined', async () => {
    const deps = await withPatroni({ timeline: 2 });
    await expect(readOwnLeft(deps, cluster, { left: [] })).rejects.toThrow(/history .* cannot be determined/);
  });

  test('declares nothing while it is in recovery', async () => {
    const deps = await withPatroni({ segments: [promoted], histories: two });
    expect(await readOwnLeft(deps, { ...cluster, isInRecovery: true }, { left: [] })).toBeUndefined();
  });

  test.each([
    ['of the timeline that it writes', { timeline: 2, lsn: '0/A00000' }, true],
    ['at an earlier location than its own fork', { timeline: 1, lsn: '0/800060' }, true],
    ['at its own fork', { timeline: 1, lsn: '0/900000' }, false],
    ['at a later location', { timeline: 1, lsn: '0/A00000' }, false],
    ['of a timeline that it never had', { timeline: 3, lsn: '0/900000' }, false],
  ])('contradicts a mark %s: %j %s', (_, { timeline, lsn }, isWrong) => {
    const its = { timeline, lsn: parseLsn(lsn), by: 'beta' };
    const own = { forks: [fork], leads: 2, declared: [fork], unconfirmed: [], unknown: undefined };
    expect(contradicted(own, [its])).toEqual(isWrong ? [its] : []);
    const { leads, ...elsewhere } = own;
    expect(leads).toBe(2);
    expect(contradicted(elsewhere, [its])).toEqual([]);
  });
});

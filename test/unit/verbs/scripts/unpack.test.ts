import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readAnswers } from '../../../../src/archiver/delivery/answers.ts';
import { archiveWork } from '../../../../src/verbs/archive-requests.ts';
import { helloScript, inboxOf } from '../../../../src/verbs/scripts/delivery.ts';
import type { FramedFile } from '../../../../src/verbs/scripts/unpack.ts';
import { pathOfPrograms, posixShells } from '../../../harness/shells.ts';
import { buildWal, type WalSpec } from '../../../harness/wal.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const cluster = '7300000000000000001';
const [a, b, c] = [
  '000000010000000000000003',
  '000000010000000000000004',
  '000000010000000000000005',
] as const;
const segmentBytes = 1024 * 1024;
const many = Array.from({ length: 9 }, (_, index) => `0000000100000000000000${String(index + 21)}`);

function segment(name: string, spec: Partial<WalSpec> = {}): Buffer {
  const bytes = buildWal({ name, systemIdentifier: BigInt(cluster), version: '15', segmentBytes, ...spec });
  bytes.fill(0, segmentBytes / 8);
  return bytes;
}

describe.each(posixShells)('frames under $shell', ({ words }) => {
  function run(script: string, path = pathOfPrograms): string[] {
    const [program = 'sh', ...args] = words;
    const result = spawnSync(program, args, { input: script, encoding: 'utf8', env: { PATH: path } });
    expect(result.stderr).toBe('');
    return result.stdout.split('\n').filter((line) => line !== '');
  }

  function stage() {
    const archivedir = join(temporaryDirectory(), 'it\'s $HOME \\ "here"');
    mkdirSync(archivedir);
    writeFileSync(join(archivedir, '.pitrtools'), `system_identifier: ${cluster}\n`);
    const place = {
      archivedir,
      systemIdentifier: cluster,
      lane: '.incoming/host.0',
      run: '0123456789abcdef',
      mode: 'store',
    } as const;
    const inbox = join(archivedir, inboxOf(place));
    mkdirSync(inbox, { recursive: true });
    /** What rsync would have left there. */
    const arrive = (name: string, bytes: Buffer, size = bytes.length): FramedFile => {
      const source = join(temporaryDirectory(), name);
      writeFileSync(source, bytes, { mode: 0o640 });
      utimesSync(source, 1_700_000_000, 1_700_000_000);
      const path = join(inbox, `${name}.zst`);
      execFileSync('zstd', ['-q', '-o', path, source]);
      return { name, size, digest: createHash('sha256').update(readFileSync(path)).digest('hex') };
    };
    const commit = (files: readonly FramedFile[], path?: string) => {
      const lanes = { cluster, lane: 'host.0', run: place.run, mode: 'store' } as const;
      const { script } = archiveWork('commit-frames', place, { ...lanes, marks: [], files });
      return readAnswers(run(script, path), archivedir);
    };
    const stored = (name: string): Buffer => readFileSync(join(archivedir, name));
    const names = (): string[] => readdirSync(archivedir).filter((name) => !name.startsWith('.'));
    return { archivedir, place, inbox, arrive, commit, stored, names };
  }

  type Stage = ReturnType<typeof stage>;

  test('are unpacked, proved and given their names, and nothing is left in the inbox', () => {
    const { archivedir, inbox, arrive, commit, stored, names } = stage();
    for (const round of [[a, b], [c]] as const) {
      const all = round.map((name) => [name, segment(name)] as const);
      const { files, notUnpacked } = commit(all.map(([name, bytes]) => arrive(name, bytes)));
      expect(notUnpacked).toBeUndefined();
      expect(files).toEqual(round.map((name) => ({ kind: 'stored', name })));
      for (const [name, bytes] of all) expect(stored(name).equals(bytes)).toBe(true);
    }
    expect(names()).toEqual([a, b, c]);
    expect(readdirSync(inbox, { recursive: true })).toEqual(['.plain']);
    const { mode, mtimeMs, blocks } = statSync(join(archivedir, a));
    expect({ mode: mode & 0o777, mtimeMs }).toEqual({ mode: 0o640, mtimeMs: 1_700_000_000_000 });
    // No hole: its zeros take space.
    expect(blocks * 512).toBeGreaterThanOrEqual(segmentBytes);
  });

  test('of a large batch are unpacked by two workers in two steps each', () => {
    const { archivedir, inbox, arrive, commit, names } = stage();
    const files = many.map((name) => arrive(name, segment(name)));
    expect(commit(files)).toMatchObject({
      notUnpacked: undefined,
      files: many.map((name) => ({ kind: 'stored', name })),
    });
    for (const name of many) expect(readFileSync(join(archivedir, name)).equals(segment(name))).toBe(true);
    expect(names()).toEqual(many);
    expect(readdirSync(inbox, { recursive: true })).toEqual(['.plain']);
  });

  test.each([0, 3, 8].map((index) => many[index] ?? ''))(
    'of a large batch are stored only if all can be unpacked: %s',
    (name) => {
      const { inbox, arrive, commit, names } = stage();
      const files = many.map((each) => arrive(each, segment(each)));
      const bytes = readFileSync(join(inbox, `${name}.zst`));
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      writeFileSync(join(inbox, `${name}.zst`), bytes);
      expect(commit(files)).toMatchObject({ files: [], notUnpacked: 'a frame arrived with other bytes' });
      const digest = createHash('sha256').update(bytes).digest('hex');
      const again = many.map((each) => (each === name ? undefined : arrive(each, segment(each))));
      writeFileSync(join(inbox, `${name}.zst`), bytes);
      const damaged = again.map((file) => file ?? { name, size: segmentBytes, digest });
      const answers = commit(damaged);
      expect(answers).toMatchObject({ files: [], trouble: undefined });
      expect(answers.notUnpacked).toMatch(/zstd/);
      expect(names()).toEqual([]);
      expect(readdirSync(inbox, { recursive: true })).toEqual(['.plain']);
    },
  );

  test.each([
    ['no openssl', 'exit 127'],
    ['an openssl that does not know the digest', "echo 'unknown digest' >&2; exit 1"],
    ['an openssl that prints it in another way', 'exec /usr/bin/openssl dgst -sha256 "$4"'],
    ['an openssl that is wrong', 'echo "1234 *$4"'],
  ])('are proved by sha256sum where there is %s', (_, script) => {
    const bin = temporaryDirectory();
    writeFileSync(join(bin, 'openssl'), `#!/bin/sh\n${script}\n`, { mode: 0o700 });
    const { inbox, arrive, commit } = stage();
    const path = `${bin}:${pathOfPrograms}`;
    expect(commit([arrive(a, segment(a))], path).files).toEqual([{ kind: 'stored', name: a }]);
    const file = arrive(b, segment(b));
    writeFileSync(join(inbox, `${b}.zst`), 'other bytes');
    expect(commit([file], path).notUnpacked).toBe('a frame arrived with other bytes');
  });

  // busybox runs its own programs whatever the PATH says.
  test.skipIf(words[0] === 'busybox')(
    'of a large batch are flushed while others are unpacked, and all at the end',
    () => {
      const { arrive, commit } = stage();
      const bin = temporaryDirectory();
      const calls = join(bin, 'calls');
      writeFileSync(join(bin, 'sync'), `#!/bin/sh\necho "$*" >>'${calls}'\nexec /usr/bin/sync "$@"\n`, {
        mode: 0o700,
      });
      expect(
        commit(
          many.map((name) => arrive(name, segment(name))),
          `${bin}:${pathOfPrograms}`,
        ).files,
      ).toHaveLength(many.length);
      const flushed = readFileSync(calls, 'utf8')
        .split('\n')
        .map((line) => many.filter((name) => line.includes(`.plain/${name}`)));
      const early = flushed.slice(0, 2).sort(([one = ''], [two = '']) => one.localeCompare(two));
      expect(early).toEqual([many.slice(0, 3), many.slice(5, 7)]);
      expect(flushed[2]).toEqual(many);
    },
  );

  test.skipIf(words[0] === 'busybox')(
    'of a large batch are stored in no case if an early flush fails',
    () => {
      const { inbox, arrive, commit, names } = stage();
      const bin = temporaryDirectory();
      const script = `#!/bin/sh
mkdir '${bin}/told' 2>/dev/null || exec /usr/bin/sync "$@"
echo "sync: error syncing 'x': Input/output error" >&2
exit 1
`;
      writeFileSync(join(bin, 'sync'), script, { mode: 0o700 });
      const files = many.map((name) => arrive(name, segment(name)));
      const answers = commit(files, `${bin}:${pathOfPrograms}`);
      expect(answers).toMatchObject({ files: [], trouble: undefined });
      expect(answers.notUnpacked).toContain('Input/output error');
      expect(names()).toEqual([]);
      expect(readdirSync(inbox, { recursive: true })).toEqual(['.plain']);
    },
  );

  test('of every layout of the first page are accepted', () => {
    for (const version of ['8.4', '9.2', '9.3', '18']) {
      const { arrive, commit } = stage();
      const name = '00000001000000A3000000FE';
      const bytes = buildWal({ name, systemIdentifier: BigInt(cluster), version, segmentBytes });
      expect(commit([arrive(name, bytes)]).files).toEqual([{ kind: 'stored', name }]);
    }
    const { arrive, commit } = stage();
    // 32-bit x86.
    const bytes = segment(a);
    bytes.copyWithin(20, 24, 40);
    expect(commit([arrive(a, bytes)]).files).toEqual([{ kind: 'stored', name: a }]);
    const first = '000000020000000000000004';
    const branched = segment(first, { headerTimeline: 1 });
    expect(commit([arrive(first, branched)]).files).toEqual([{ kind: 'stored', name: first }]);
  });

  test('with the same bytes as a segment there are a success, others are a conflict and replace nothing', () => {
    const { archivedir, inbox, arrive, commit, stored } = stage();
    writeFileSync(join(archivedir, a), segment(a));
    writeFileSync(join(archivedir, b), segment(b, { seed: 2 }));
    const { files } = commit([a, b, c].map((name) => arrive(name, segment(name))));
    expect(files).toMatchObject([
      { kind: 'same', name: a },
      { kind: 'conflict', name: b },
    ]);
    expect(stored(b).equals(segment(b, { seed: 2 }))).toBe(true);
    expect(existsSync(join(archivedir, c))).toBe(false);
    expect(readdirSync(inbox).filter((name) => name.endsWith('.zst'))).toEqual([]);
    // What the last batch left there is no obstacle.
    expect(commit([arrive(c, segment(c))]).files).toEqual([{ kind: 'stored', name: c }]);
  });

  test('replace nothing that an earlier commit has left in the inbox under another name as well', () => {
    const { archivedir, inbox, arrive, commit, stored } = stage();
    mkdirSync(join(inbox, '.plain'));
    writeFileSync(join(archivedir, a), segment(a, { seed: 2 }));
    linkSync(join(archivedir, a), join(inbox, '.plain', a));
    expect(commit([arrive(a, segment(a))]).files).toMatchObject([{ kind: 'conflict', name: a }]);
    expect(stored(a).equals(segment(a, { seed: 2 }))).toBe(true);
  });

  test.each<[string, (at: Stage) => readonly FramedFile[]]>([
    [
      'a frame arrived with other bytes',
      ({ arrive, inbox }) => {
        const files = [a, b].map((name) => arrive(name, segment(name)));
        const path = join(inbox, `${b}.zst`);
        const bytes = readFileSync(path);
        bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
        writeFileSync(path, bytes);
        return files;
      },
    ],
    [
      'a frame arrived with other bytes',
      ({ arrive }) => [arrive(a, segment(a)), { name: b, size: segmentBytes, digest: '0'.repeat(64) }],
    ],
    [
      'zstd',
      ({ inbox }) => {
        const bytes = Buffer.from('no frame');
        writeFileSync(join(inbox, `${a}.zst`), bytes);
        return [{ name: a, size: segmentBytes, digest: createHash('sha256').update(bytes).digest('hex') }];
      },
    ],
    [
      'zstd',
      ({ arrive, inbox }) => {
        const file = arrive(a, segment(a));
        const path = join(inbox, `${a}.zst`);
        const bytes = readFileSync(path);
        bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
        writeFileSync(path, bytes);
        return [{ ...file, digest: createHash('sha256').update(bytes).digest('hex') }];
      },
    ],
    ['another content', ({ arrive }) => [arrive(a, segment(b))]],
    ['another content', ({ arrive }) => [arrive(a, segment(a)), arrive(b, segment(c))]],
    ['another content', ({ arrive }) => [arrive(a, segment(a, { systemIdentifier: 73n }))]],
    ['another content', ({ arrive }) => [arrive(a, segment(a), 2 * segmentBytes)]],
    ['another content', ({ arrive }) => [arrive(a, Buffer.alloc(segmentBytes))]],
    ['another content', ({ arrive }) => [arrive(a, Buffer.from('short'))]],
  ])('that cannot be proved are stored in no case: %s', (reason, prepare) => {
    const at = stage();
    const files = prepare(at);
    const answers = at.commit(files);
    expect(answers).toMatchObject({ files: [], trouble: undefined });
    expect(answers.notUnpacked).toContain(reason);
    expect(at.names()).toEqual([]);
    // rsync brings them as they are.
    expect(readdirSync(at.inbox, { recursive: true })).toEqual(['.plain']);
  });

  test('whose content is cut are short', () => {
    const { arrive, commit, names } = stage();
    const file = arrive(a, segment(a).subarray(0, 9000));
    expect(commit([{ ...file, size: segmentBytes }]).files).toEqual([
      { kind: 'short', name: a, size: '9000' },
    ]);
    expect(names()).toEqual([]);
  });

  // busybox runs its own programs whatever the PATH says.
  test.skipIf(words[0] === 'busybox')('are offered only where every program for them exists', () => {
    const { place } = stage();
    const offers = (without: string): boolean => {
      const bin = temporaryDirectory();
      for (const name of readdirSync('/usr/bin'))
        if (name !== without) symlinkSync(join('/usr/bin', name), join(bin, name));
      return readAnswers(run(helloScript(place, []), bin), place.archivedir).unpacks;
    };
    expect(offers('')).toBe(true);
    for (const program of ['zstd', 'sha256sum', 'od', 'head']) expect(offers(program)).toBe(false);
  });

  test('that arrived in part are kept for the coming batch', () => {
    const { place, inbox, arrive } = stage();
    for (const name of [a, b]) arrive(name, segment(name));
    const next = { ...place, run: 'fedcba9876543210' };
    expect(readAnswers(run(helloScript(next, [b])), place.archivedir).isReady).toBe(true);
    expect(existsSync(inbox)).toBe(false);
    expect(readdirSync(join(place.archivedir, inboxOf(next)))).toEqual([`${b}.zst`]);
  });
});

import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readAnswers } from '../../../../src/archiver/delivery/answers.ts';
import {
  commitScript,
  type DeliveryPlace,
  helloScript,
  inboxOf,
} from '../../../../src/verbs/scripts/delivery.ts';
import { findInPath, posixShells } from '../../../harness/shells.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const [a, b, c] = ['000000010000000000000001', '000000010000000000000002', '000000010000000000000003'];

describe.each(posixShells)('delivery under $shell', ({ words }) => {
  function run(script: string, path = process.env['PATH']): string[] {
    const [program = 'sh', ...args] = words;
    const result = spawnSync(program, args, { input: script, encoding: 'utf8', env: { PATH: path } });
    expect(result.stderr).toBe('');
    return result.stdout.split('\n').filter((line) => line !== '');
  }

  function place(options: Partial<DeliveryPlace> = {}): DeliveryPlace {
    const archivedir = join(temporaryDirectory(), 'it\'s $HOME \\ "here"');
    mkdirSync(archivedir);
    writeFileSync(join(archivedir, '.pitrtools'), 'system_identifier: 42\nstandby: s1\n');
    const lane = '.incoming/host.0123';
    return { archivedir, systemIdentifier: '42', lane, run: 'r1', mode: 'store', ...options };
  }

  function arrive(at: DeliveryPlace, name: string, content: string): void {
    mkdirSync(join(at.archivedir, inboxOf(at)), { recursive: true });
    writeFileSync(join(at.archivedir, inboxOf(at), name), content);
  }

  function mark(at: DeliveryPlace, ...marks: string[]): void {
    const lines = marks.map((text) => `left: ${text}\n`).join('');
    writeFileSync(join(at.archivedir, '.pitrtools'), `system_identifier: 42\nstandby: s1\n${lines}`);
  }

  const read = (at: DeliveryPlace, name: string) => readFileSync(join(at.archivedir, name), 'utf8');
  const commit = (at: DeliveryPlace, ...files: [string, number][]) =>
    readAnswers(
      run(
        commitScript(
          at,
          files.map(([name, size]) => ({ name, size })),
          [],
        ),
      ),
      at.archivedir,
    );

  test('the greeting hands over what the sentinel says, and a text that proves nothing counts as none', () => {
    const at = place();
    const sentinel = join(at.archivedir, '.pitrtools');
    const lines = ['program: /opt/it is/bin/cmd_standby', "ini: /etc/it's \\n.ini", 'left: 1 0/5000060 b'];
    writeFileSync(sentinel, ['system_identifier: 42', 'standby: s1', ...lines].join('\n'));
    expect(readAnswers(run(helloScript(at, [])), at.archivedir).sentinel).toMatchObject({
      command: { program: '/opt/it is/bin/cmd_standby', iniFile: "/etc/it's \\n.ini" },
      left: [{ timeline: 1, lsn: 0x5000060n, by: 'b' }],
    });
    writeFileSync(sentinel, 'system_identifier: 42\nleft: nonsense\n');
    expect(readAnswers(run(helloScript(at, [])), at.archivedir).sentinel).toBeUndefined();
  });

  test('the greeting makes a private directory, keeps parts of the coming batch and removes the rest', () => {
    const at = place();
    const earlier = { ...at, run: 'r0' };
    arrive(earlier, a, 'part');
    arrive(earlier, b, 'no longer wanted');
    arrive(earlier, `.${a}.Xy12`, 'temporary');
    const greeting = readAnswers(run(helloScript(at, [a])), at.archivedir);
    expect(greeting).toEqual({
      isReady: true,
      files: [],
      resumeRequest: undefined,
      directory: realpathSync(at.archivedir),
      sentinel: expect.objectContaining({ systemIdentifier: '42', standby: 's1' }) as unknown,
      marks: [],
      newest: [],
      takesSegments: true,
      unpacks: true,
      notUnpacked: undefined,
      trouble: undefined,
    });
    expect(readdirSync(join(at.archivedir, at.lane))).toEqual(['r1']);
    expect(readdirSync(join(at.archivedir, inboxOf(at)))).toEqual([a]);
    expect(statSync(join(at.archivedir, inboxOf(at))).mode & 0o777).toBe(0o700);
  });

  test('the greeting finds a resume request', () => {
    const at = place();
    writeFileSync(join(at.archivedir, '.resume'), 'f00-12');
    expect(readAnswers(run(helloScript(at, [])), at.archivedir).resumeRequest).toBe('f00-12');
    writeFileSync(join(at.archivedir, '.resume'), 'two words\n');
    expect(readAnswers(run(helloScript(at, [])), at.archivedir).resumeRequest).toBeUndefined();
  });

  test.each([
    ['no-sentinel', undefined],
    ['foreign', 'system_identifier: 43\n'],
    ['foreign', 'nothing of use\n'],
    ['promoted', 'system_identifier: 42\nstandby: s1\npromoted_at_timeline: 2\n'],
  ])('both scripts refuse a directory that is %s, and change nothing', (kind, sentinel) => {
    const at = place();
    const other = sentinel === undefined ? { ...at, archivedir: temporaryDirectory() } : at;
    if (sentinel !== undefined) writeFileSync(join(at.archivedir, '.pitrtools'), sentinel);
    arrive(other, a, 'bytes');
    expect(readAnswers(run(helloScript({ ...other, run: 'r2' }, [])), other.archivedir)).toMatchObject({
      isReady: false,
      trouble: { kind },
    });
    expect(commit(other, [a, 5])).toMatchObject({ files: [], trouble: { kind } });
    expect(readdirSync(join(other.archivedir, other.lane))).toEqual(['r1']);
    expect(existsSync(join(other.archivedir, a))).toBe(false);
  });

  test('the greeting distinguishes a directory that is missing from one that cannot be used', () => {
    const at = place();
    const missing = { ...at, archivedir: `${at.archivedir}/not there` };
    expect(readAnswers(run(helloScript(missing, [])), 'x').trouble?.kind).toBe('no-directory');
    writeFileSync(join(at.archivedir, '.incoming'), 'a file in the way');
    const { trouble } = readAnswers(run(helloScript(at, [])), at.archivedir);
    expect(trouble?.reason).toMatch(/cannot be used: .*mkdir/);
  });

  test('the commit gives complete files their names, and empties the incoming directory', () => {
    const at = place();
    arrive(at, a, 'first');
    arrive(at, b, 'second');
    expect(commit(at, [a, 5], [b, 6]).files).toEqual([
      { kind: 'stored', name: a },
      { kind: 'stored', name: b },
    ]);
    expect([read(at, a), read(at, b)]).toEqual(['first', 'second']);
    expect(readdirSync(join(at.archivedir, inboxOf(at)))).toEqual([]);
  });

  test('the same bytes again are a success, and other bytes are a conflict with both digests and stay unchanged', () => {
    const at = place();
    writeFileSync(join(at.archivedir, a), 'first');
    writeFileSync(join(at.archivedir, b), 'SECOND');
    arrive(at, a, 'first');
    arrive(at, b, 'second');
    arrive(at, c, 'third');
    const { files } = commit(at, [a, 5], [b, 6], [c, 5]);
    expect(files[0]).toEqual({ kind: 'same', name: a });
    const sha256 = expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string;
    expect(files[1]).toEqual({ kind: 'conflict', name: b, there: sha256, ours: sha256 });
    // What comes after a conflict must not overtake it.
    expect(files).toHaveLength(2);
    expect(read(at, b)).toBe('SECOND');
    expect(existsSync(join(at.archivedir, c))).toBe(false);
  });

  test('a file of another size, a missing file and a file whose name is a directory are failures', () => {
    const at = place();
    arrive(at, a, 'fir');
    expect(commit(at, [a, 5]).files).toEqual([{ kind: 'short', name: a, size: '3' }]);
    expect(commit(at, [b, 5]).files).toMatchObject([{ kind: 'failed', name: b }]);
    mkdirSync(join(at.archivedir, c));
    arrive(at, c, 'third');
    expect(commit(at, [c, 5]).files).toMatchObject([{ kind: 'failed', name: c }]);
    expect(readdirSync(join(at.archivedir, c))).toEqual([]);
  });

  test('in recovery nothing is stored, and only a file that exists counts', () => {
    const at = place({ mode: 'compare' });
    writeFileSync(join(at.archivedir, a), 'first');
    arrive(at, a, 'first');
    arrive(at, b, 'second');
    expect(commit(at, [a, 5], [b, 6]).files).toEqual([
      { kind: 'same', name: a },
      { kind: 'absent', name: b },
    ]);
    expect(existsSync(join(at.archivedir, b))).toBe(false);
  });

  /** Programs that write down what they were called with, before they do it. */
  function traced(
    names: readonly string[],
    failing?: { name: string; when: string },
  ): { path: string; log: string } {
    const bin = temporaryDirectory();
    const log = join(bin, 'log');
    writeFileSync(log, '');
    for (const name of names) {
      const fail =
        failing?.name === name ? `case "$*" in ${failing.when}) echo broken disk >&2; exit 1;; esac\n` : '';
      const body = `#!/bin/sh\nPATH='${process.env['PATH'] ?? ''}'\necho "${name} $*" >> '${log}'\n${fail}exec ${name} "$@"\n`;
      writeFileSync(join(bin, name), body, { mode: 0o700 });
    }
    return { path: `${bin}:${process.env['PATH'] ?? ''}`, log };
  }

  // busybox runs its own programs whatever the PATH says: there they cannot be watched.
  const isWatchable = words[0] !== 'busybox';

  test.skipIf(!isWatchable)(
    'every file and directory is flushed before success is reported (bug of the original: no fsync before success)',
    () => {
      const at = place();
      arrive(at, a, 'first');
      const { path, log } = traced(['sync', 'ln', 'rm']);
      const lines = run(commitScript(at, [{ name: a, size: 5 }], []), path);
      expect(lines).toEqual([`stored ${a}`]);
      expect(readFileSync(log, 'utf8').trim().split('\n')).toEqual([
        `sync ${inboxOf(at)}/${a}`,
        `ln ${inboxOf(at)}/${a} .`,
        'sync .',
        `rm -f ${inboxOf(at)}/${a}`,
      ]);
    },
  );

  test.skipIf(!isWatchable)('a batch needs one process for each step, unless a name is taken', () => {
    const at = place();
    for (const name of [a, b]) arrive(at, name, 'bytes');
    const steps = (): string[] => {
      const { path, log } = traced(['wc', 'sync', 'ln', 'cmp']);
      run(
        commitScript(
          at,
          [a, b].map((name) => ({ name, size: 5 })),
          [],
        ),
        path,
      );
      return readFileSync(log, 'utf8')
        .split('\n')
        .map((line) => line.split(' ')[0] ?? '');
    };
    expect(steps()).toEqual(['sync', 'wc', 'ln', 'sync', '']);
    for (const name of [a, b]) arrive(at, name, 'bytes');
    expect(steps().filter((step) => step === 'cmp')).toHaveLength(2);
  });

  test('the greeting names the newest segment of each timeline that was left', () => {
    const at = place();
    for (const name of [b, a, '000000020000000000000007', '00000003.history', `${c}.partial`])
      writeFileSync(join(at.archivedir, name), '');
    mark(at, '1 0/1000060 beta', '3 0/1 beta');
    const { newest, marks } = readAnswers(run(helloScript(at, [])), at.archivedir);
    expect(newest.map(({ text }) => text)).toEqual([b]);
    expect(marks).toEqual(['1 0/1000060 beta', '3 0/1 beta']);
  });

  test('nothing is stored where the sentinel has other marks than the sender knows', () => {
    const at = place();
    arrive(at, a, 'first');
    const files = [{ name: a, size: 5 }];
    mark(at, '1 0/1000060 beta');
    for (const known of [[], ['1 0/1000060 alpha'], ['1 0/1000060 beta', '2 0/1 c']])
      expect(run(commitScript(at, files, known))).toEqual(['marks-changed']);
    expect(existsSync(join(at.archivedir, a))).toBe(false);
    expect(run(commitScript(at, files, ['1 0/1000060 beta']))).toEqual([`stored ${a}`]);
  });

  test.skipIf(!isWatchable).each([
    ['at once', [a, b]],
    ['file by file, because one is there already', [a, b, c]],
  ])('a mark that comes between the look and the links is seen: %s', (_, names) => {
    const at = place();
    for (const name of names) arrive(at, name, 'bytes');
    if (names.includes(c)) writeFileSync(join(at.archivedir, c), 'bytes');
    const bin = temporaryDirectory();
    const sentinel = join(at.archivedir, '.pitrtools');
    writeFileSync(
      join(bin, 'ln'),
      `#!/bin/sh\n${findInPath('ln') ?? ''} "$@" || exit\necho 'left: 1 0/8 beta' >> '${sentinel.replaceAll("'", `'\\''`)}'\n`,
      { mode: 0o755 },
    );
    const files = names.map((name) => ({ name, size: 5 }));
    const path = `${bin}:${process.env['PATH'] ?? ''}`;
    expect(run(commitScript(at, files, []), path)).toEqual(['marks-changed']);
    // What stood there before stays.
    expect([a, b, c].filter((name) => existsSync(join(at.archivedir, name)))).toEqual(
      names.includes(c) ? [c] : [],
    );
    // What arrived need not be sent again.
    expect(existsSync(join(at.archivedir, inboxOf(at), a))).toBe(true);
  });

  test.skipIf(!isWatchable)('a batch that cannot be linked at once is handled file by file', () => {
    const at = place();
    for (const name of [a, b]) arrive(at, name, 'bytes');
    const broken = traced(['ln'], { name: 'ln', when: `*' .'` });
    const lines = run(
      commitScript(
        at,
        [a, b].map((name) => ({ name, size: 5 })),
        [],
      ),
      broken.path,
    );
    expect(lines).toEqual([`stored ${a}`, `stored ${b}`]);
    expect([read(at, a), read(at, b)]).toEqual(['bytes', 'bytes']);
  });

  test.skipIf(!isWatchable).each([
    "error syncing 'x': Input/output error",
    // As busybox says it.
    'x: No space left on device',
  ])('a failure of the disk counts, although the kernel reports it only once: %s', (said) => {
    const at = place();
    for (const name of [a, b]) arrive(at, name, 'bytes');
    const bin = temporaryDirectory();
    const script = `#!/bin/sh
mkdir '${bin}/told' 2>/dev/null || exec /usr/bin/sync "$@"
echo "sync: ${said}" >&2
exit 1
`;
    writeFileSync(join(bin, 'sync'), script, { mode: 0o700 });
    const files = [a, b].map((name) => ({ name, size: 5 }));
    const lines = run(commitScript(at, files, []), `${bin}:${process.env['PATH'] ?? ''}`);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(new RegExp(`^failed ${a} cannot be flushed: sync: ${said}`));
    expect([a, b].filter((name) => existsSync(join(at.archivedir, name)))).toEqual([]);
  });

  test.skipIf(!isWatchable)('no line reports success if a file or the directory cannot be flushed', () => {
    const at = place();
    arrive(at, a, 'first');
    const file = traced(['sync'], { name: 'sync', when: `*${a}*` });
    const first = readAnswers(run(commitScript(at, [{ name: a, size: 5 }], []), file.path), at.archivedir);
    expect(first.files).toMatchObject([{ kind: 'failed', name: a }]);
    expect(existsSync(join(at.archivedir, a))).toBe(false);
    const directory = traced(['sync'], { name: 'sync', when: '.' });
    const second = readAnswers(
      run(commitScript(at, [{ name: a, size: 5 }], []), directory.path),
      at.archivedir,
    );
    expect(second).toMatchObject({ files: [], trouble: { kind: 'failed' } });
  });
});

describe('an answer that the scripts never give', () => {
  const answer = (line: string) => readAnswers([line], '/archive').files[0];

  test.each([
    `stored ${a} and more`,
    `short ${a} many`,
    `short ${a}`,
    `conflict ${a} sha256:1`,
    `conflict ${a} \x1b[2J x`,
    'stored ../victim',
    'stored a\0b',
  ])('is no success: %j', (line) => {
    expect(answer(line)).toMatchObject({
      kind: 'failed',
      reason: expect.stringContaining('not understood') as string,
    });
  });

  test('is quoted without its control characters, and shortened', () => {
    expect(answer(`failed ${a} \x1b]0;x\x07${'y'.repeat(9999)}`)).toMatchObject({
      reason: expect.stringMatching(/^\\x1b\]0;x\\x07y{400,500} … \(10011 characters\)$/) as string,
    });
    expect(readAnswers(['foreign \x1b[2J'], '/archive').trouble?.reason).toContain('\\x1b[2J');
  });
});

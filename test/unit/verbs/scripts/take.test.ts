import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type DeliveryPlace, helloScript, inboxOf } from '../../../../src/verbs/scripts/delivery.ts';
import {
  formatFrameOffer,
  formatOffer,
  largestTaken,
  mostTakenBytes,
  takeScript,
} from '../../../../src/verbs/scripts/take.ts';
import { findInPath, posixShells } from '../../../harness/shells.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const [a, b] = ['000000010000000000000001', '0000000100000000000000AF'];
const used = Buffer.from('some WAL\n\0\xff, and more', 'latin1');
const size = 1024 * 1024;
const mtimeNs = 1_700_000_000_123_456_789n;

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

function offer(name: string, changes: { digest?: string; bytes?: Buffer } = {}): Buffer {
  const { bytes = used, digest = sha256(used) } = changes;
  return Buffer.concat([Buffer.from(formatOffer({ name, size, used: used.length, digest, mtimeNs })), bytes]);
}

/** A directory with these programs, and with scripts of our own in the place of others. */
function programs(names: readonly string[], scripts: Readonly<Record<string, string>> = {}): string {
  const directory = temporaryDirectory();
  for (const name of names) symlinkSync(findInPath(name) ?? '', join(directory, name));
  for (const [name, script] of Object.entries(scripts))
    writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`, { mode: 0o700 });
  return directory;
}

const needed = ['sha256sum', 'head', 'touch', 'sync', 'mv', 'rm'];

describe.each(posixShells)('taking segments under $shell', ({ words }) => {
  function run(
    script: string,
    input: Buffer,
    path = process.env['PATH'],
    more: Readonly<Record<string, string>> = {},
  ): string[] {
    const [program = 'sh', ...args] = words;
    const result = spawnSync(findInPath(program) ?? program, [...args, '-c', script], {
      input,
      // bash would take a socket for a login over the network, and read ~/.bashrc, in its first level only.
      env: { PATH: path, SHLVL: '2', ...more },
    });
    return result.stdout
      .toString()
      .split('\n')
      .filter((line) => line !== '');
  }

  function place(): DeliveryPlace {
    const archivedir = join(temporaryDirectory(), 'it\'s $HOME \\ "here"');
    const at = {
      archivedir,
      systemIdentifier: '42',
      lane: '.incoming/h.0',
      run: 'r1',
      mode: 'store' as const,
    };
    mkdirSync(join(archivedir, inboxOf(at)), { recursive: true });
    writeFileSync(join(archivedir, '.pitrtools'), 'system_identifier: 42\nstandby: s1\n');
    return at;
  }

  const inbox = (at: DeliveryPlace): string[] => readdirSync(join(at.archivedir, inboxOf(at)));

  test('puts one after the other into the inbox, whole, dense, with its time', () => {
    const at = place();
    const all = Buffer.alloc(mostTakenBytes, 'x');
    const large = formatOffer({ name: b, size, used: all.length, digest: sha256(all), mtimeNs });
    const answers = run(takeScript(at), Buffer.concat([offer(a), Buffer.from(large), all]));
    expect(answers).toEqual(['ready', `taken ${a}`, `taken ${b}`]);
    expect(inbox(at)).toEqual([a, b]);
    for (const [name, bytes] of [
      [a, used],
      [b, all],
    ] as const) {
      const path = join(at.archivedir, inboxOf(at), name);
      const whole = Buffer.concat([bytes, Buffer.alloc(size - bytes.length)]);
      expect(readFileSync(path).equals(whole)).toBe(true);
      const found = statSync(path, { bigint: true });
      expect(found.mtimeNs).toBe(mtimeNs);
      expect(found.mode & 0o777n).toBe(0o600n);
      expect(found.blocks * 512n).toBeGreaterThanOrEqual(BigInt(size));
    }
    expect(readdirSync(at.archivedir).sort()).toEqual(['.incoming', '.pitrtools']);
  });

  test('writes the zeros itself without fallocate, or where that fails', () => {
    for (const scripts of [{}, { fallocate: 'exit 1' }]) {
      const at = place();
      expect(run(takeScript(at), offer(a), programs(needed, scripts))).toEqual(['ready', `taken ${a}`]);
      const { size: found, blocks } = statSync(join(at.archivedir, inboxOf(at), a));
      expect(found).toBe(size);
      expect(blocks * 512).toBeGreaterThanOrEqual(size);
    }
  });

  const counting = 'test "$1" != bs=128k || echo count >>"$COUNTED"; exec /usr/bin/dd "$@"';
  test.each<[string, Record<string, string>, number]>([
    ['a dd that counts bytes', { dd: counting }, 3],
    ['no dd', {}, 0],
    ['a dd that does not know the flags', { dd: 'cat >/dev/null; exit 1' }, 0],
    ['a dd that takes the count for blocks', { dd: 'exec cat' }, 0],
    ['a dd that takes more than it writes', { dd: 'head -c 3; cat >/dev/null' }, 0],
  ])(
    'puts frames into the inbox with %s, each with its time, and the segment behind them',
    (_, scripts, most) => {
      const at = place();
      const frames = [Buffer.alloc(700_001, 'line\n\0\xff'), Buffer.from('x')];
      const names = [b, '0000000100000000000000B0'];
      const offers = frames.map((bytes, index) => {
        const offered = { name: names[index] ?? '', bytes: bytes.length, mtimeNs };
        return Buffer.concat([Buffer.from(formatFrameOffer(offered)), bytes]);
      });
      const path = programs(['cat', ...needed], scripts);
      const counted = join(temporaryDirectory(), 'counted');
      const answers = run(takeScript(at), Buffer.concat([...offers, offer(a)]), path, { COUNTED: counted });
      expect(answers).toEqual(['ready', ...[...names, a].map((name) => `taken ${name}`)]);
      expect(inbox(at)).toEqual([a, ...names.map((name) => `${name}.zst`)]);
      for (const [index, bytes] of frames.entries()) {
        const frame = join(at.archivedir, inboxOf(at), `${names[index] ?? ''}.zst`);
        expect(readFileSync(frame).equals(bytes)).toBe(true);
        expect(statSync(frame, { bigint: true }).mtimeNs).toBe(mtimeNs);
      }
      expect(existsSync(counted) ? readFileSync(counted, 'utf8').split('\n').length - 1 : 0).toBe(most);
    },
  );

  test.each<[string, Buffer]>([
    ['other bytes', offer(a, { bytes: Buffer.alloc(used.length, 'y') })],
    ['another digest', offer(a, { digest: '0'.repeat(64) })],
    ['fewer bytes', offer(a, { bytes: used.subarray(0, 5) })],
    ['no bytes', offer(a, { bytes: Buffer.alloc(0) })],
  ])('leaves nothing in the inbox of a segment with %s, and takes no more', (_, input) => {
    const at = place();
    expect(run(takeScript(at), Buffer.concat([input]))).toEqual(['ready', `failed ${a}`]);
    expect(inbox(at)).toEqual([]);
  });

  test.each<[string, Record<string, string>]>([
    ['cannot be written', { head: 'cat >/dev/null; echo "No space left on device" >&2; exit 1' }],
    [
      'is full before the zeros are',
      { fallocate: 'exit 1', head: 'case $3 in /dev/zero) exit 1 ;; esac; exec /usr/bin/head "$@"' },
    ],
    ['cannot be flushed', { sync: 'exit 1' }],
    ['does not take the time', { touch: 'exit 1' }],
    ['gives no digest', { sha256sum: 'exit 1' }],
  ])('leaves nothing in the inbox where the disk %s', (_, scripts) => {
    const at = place();
    const path = programs(
      ['cat', ...needed].filter((name) => !(name in scripts)),
      scripts,
    );
    expect(run(takeScript(at), offer(a), path)).toEqual(['ready', `failed ${a}`]);
    expect(inbox(at)).toEqual([]);
  });

  const digest = sha256(used);
  test.each([
    '',
    'x',
    `${a} ${size} 5 ${digest}`,
    `${a} ${size} 5 ${digest} 1.0 more`,
    `../../x${a.slice(7)} ${size} 5 ${digest} 1.0`,
    `${a}0 ${size} 5 ${digest} 1.0`,
    `.pitrtools ${size} 5 ${digest} 1.0`,
    `$(id) ${size} 5 ${digest} 1.0`,
    `${a} 0 5 ${digest} 1.0`,
    `${a} 010 5 ${digest} 1.0`,
    `${a} ${String(largestTaken + 1)} 5 ${digest} 1.0`,
    `${a} 4 5 ${digest} 1.0`,
    `${a} ${size} 0 ${digest} 1.0`,
    `${a} ${size} -5 ${digest} 1.0`,
    `${a} ${size} ${String(mostTakenBytes + 1)} ${digest} 1.0`,
    `${a} ${size} 5 ${digest.slice(1)} 1.0`,
    `${a} ${size} 5 ${digest.slice(1)}Z 1.0`,
    `${a} ${size} 5 ${digest} now`,
    `${a} ${size} 5 ${digest} 1.0.0`,
    `${a} ${size} 5 ${digest} -1`,
  ])('refuses the line %j, and ends', (line) => {
    const at = place();
    const answers = run(takeScript(at), Buffer.concat([Buffer.from(`${line}\n`), used, offer(b)]));
    expect(answers).toEqual(['ready', 'not-understood']);
    expect(inbox(at)).toEqual([]);
  });

  test.each<[string, (at: DeliveryPlace) => void]>([
    [
      'has no sentinel',
      (at) => {
        rmSync(join(at.archivedir, '.pitrtools'));
      },
    ],
    [
      'has no such inbox',
      (at) => {
        rmSync(join(at.archivedir, inboxOf(at)), { recursive: true });
      },
    ],
    [
      'is gone',
      (at) => {
        rmSync(at.archivedir, { recursive: true });
      },
    ],
  ])('takes nothing where the archive %s', (_, change) => {
    const at = place();
    change(at);
    expect(run(takeScript(at), offer(a))).toEqual(['no-inbox']);
  });

  test('is offered by the greeting only if its programs are there', () => {
    const greeting = (path: string | undefined): string[] =>
      run(helloScript(place(), []), Buffer.alloc(0), path);
    expect(greeting(process.env['PATH'])).toContain('takes segments');
    const others = ['mkdir', 'ls', 'ln', 'id', 'tr', 'head', 'rm', 'mv'];
    const without = greeting(programs(others));
    expect(without).toContain('ready');
    expect(without).not.toContain('takes segments');
  });
});
